/* SPDX-License-Identifier: GPL-2.0 */
/* What the stand-in modules share. The dependency graph is NVIDIA's: drm -> modeset -> nvidia <- uvm. */
#ifndef NVSIM_H
#define NVSIM_H

#include <linux/pci.h>

#define NV_MAJOR 195
#define NV_MODESET_MINOR 254
#define NV_CTL_MINOR 255
#define NV_MAX_GPUS 8

/* ioctl on /dev/nvidiaN: returns a dma-buf's descriptor (exporter name nv_dmabuf, as the real driver's). */
#define NVSIM_IOCTL_DMABUF _IO('N', 1)

/* nvidia: take or drop a use of the card; NULL where minor has no card. */
struct pci_dev *nvsim_gpu_get(unsigned int minor);
void nvsim_gpu_put(unsigned int minor);

/* nvidia-modeset: the same, so that nvidia-drm depends on nvidia-modeset alone. */
struct pci_dev *nvsim_kms_get(unsigned int minor);
void nvsim_kms_put(unsigned int minor);

#endif

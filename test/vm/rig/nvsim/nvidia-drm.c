// SPDX-License-Identifier: GPL-2.0
/* Stand-in for nvidia-drm.ko: one DRM device (card and render node) for each card that nvidia has. */
#include <linux/module.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include "nvsim.h"

static bool modeset;
module_param(modeset, bool, 0444);

DEFINE_DRM_GEM_FOPS(fops);
static const struct drm_driver driver = {
	.driver_features = DRIVER_GEM | DRIVER_RENDER,
	.fops = &fops,
	.name = "nvidia-drm",
	.desc = "test stand-in",
};
static struct drm_device *devices[NV_MAX_GPUS];

static void drop(unsigned int i)
{
	drm_dev_put(devices[i]);
	devices[i] = NULL;
	nvsim_kms_put(i);
}

static void __exit nvdrm_exit(void)
{
	unsigned int i;

	for (i = 0; i < NV_MAX_GPUS; i++) {
		if (devices[i]) {
			drm_dev_unregister(devices[i]);
			drop(i);
		}
	}
}

static int __init nvdrm_init(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < NV_MAX_GPUS; i++) {
		struct pci_dev *pdev = nvsim_kms_get(i);

		if (!pdev)
			continue;
		devices[i] = drm_dev_alloc(&driver, &pdev->dev);
		if (IS_ERR(devices[i])) {
			error = PTR_ERR(devices[i]);
			devices[i] = NULL;
			nvsim_kms_put(i);
			goto undo;
		}
		error = drm_dev_register(devices[i], 0);
		if (error) {
			drop(i);
			goto undo;
		}
	}
	return 0;

undo:
	while (i--) {
		if (devices[i]) {
			drm_dev_unregister(devices[i]);
			drop(i);
		}
	}
	return error;
}

module_init(nvdrm_init);
module_exit(nvdrm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test stand-in for NVIDIA's DRM module");

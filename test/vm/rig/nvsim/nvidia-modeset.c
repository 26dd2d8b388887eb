// SPDX-License-Identifier: GPL-2.0
/* Stand-in for nvidia-modeset.ko: /dev/nvidia-modeset and the link between nvidia-drm and nvidia. */
#include <linux/module.h>
#include <linux/cdev.h>
#include <linux/fs.h>
#include "nvsim.h"

static struct cdev cdev;
static const struct file_operations fops = { .owner = THIS_MODULE };

struct pci_dev *nvsim_kms_get(unsigned int minor)
{
	return nvsim_gpu_get(minor);
}
EXPORT_SYMBOL(nvsim_kms_get);

void nvsim_kms_put(unsigned int minor)
{
	nvsim_gpu_put(minor);
}
EXPORT_SYMBOL(nvsim_kms_put);

static int __init modeset_init(void)
{
	dev_t number = MKDEV(NV_MAJOR, NV_MODESET_MINOR);
	int error = register_chrdev_region(number, 1, "nvidia-modeset");

	if (error)
		return error;
	cdev_init(&cdev, &fops);
	cdev.owner = THIS_MODULE;
	error = cdev_add(&cdev, number, 1);
	if (error)
		unregister_chrdev_region(number, 1);
	return error;
}

static void __exit modeset_exit(void)
{
	cdev_del(&cdev);
	unregister_chrdev_region(MKDEV(NV_MAJOR, NV_MODESET_MINOR), 1);
}

module_init(modeset_init);
module_exit(modeset_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test stand-in for NVIDIA's modesetting module");

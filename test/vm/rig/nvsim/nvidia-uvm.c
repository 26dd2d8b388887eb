// SPDX-License-Identifier: GPL-2.0
/* Stand-in for nvidia-uvm.ko: a dynamic major with two nodes, nvidia-uvm and nvidia-uvm-tools. */
#include <linux/module.h>
#include <linux/cdev.h>
#include <linux/fs.h>
#include "nvsim.h"

static dev_t number;
static struct cdev cdev;
static const struct file_operations fops = { .owner = THIS_MODULE };

/* A real use of nvidia's symbols is what makes the module depend on it. */
static bool any_gpu(void)
{
	unsigned int i;

	for (i = 0; i < NV_MAX_GPUS; i++) {
		if (nvsim_gpu_get(i)) {
			nvsim_gpu_put(i);
			return true;
		}
	}
	return false;
}

static int __init uvm_init(void)
{
	int error;

	if (!any_gpu())
		pr_info("nvidia-uvm: no GPU\n");
	error = alloc_chrdev_region(&number, 0, 2, "nvidia-uvm");
	if (error)
		return error;
	cdev_init(&cdev, &fops);
	cdev.owner = THIS_MODULE;
	error = cdev_add(&cdev, number, 2);
	if (error)
		unregister_chrdev_region(number, 2);
	return error;
}

static void __exit uvm_exit(void)
{
	cdev_del(&cdev);
	unregister_chrdev_region(number, 2);
}

module_init(uvm_init);
module_exit(uvm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test stand-in for NVIDIA's unified memory module");

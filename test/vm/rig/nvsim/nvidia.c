// SPDX-License-Identifier: GPL-2.0
/*
 * Stand-in for nvidia.ko. As the real one: binds every NVIDIA display card, registers major 195 as "nvidia",
 * creates no device nodes itself (they are made by mknod and outlive the module), autoloads when such a stale
 * node is opened, refuses to load without a card, and never returns from unbinding a card in use.
 */
#include <linux/module.h>
#include <linux/cdev.h>
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/i2c.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/version.h>
#include "nvsim.h"

static bool fail_probe;
module_param(fail_probe, bool, 0644);
MODULE_PARM_DESC(fail_probe, "refuse the card, as a card does that does not come back from a guest");
static unsigned int exit_delay_ms;
module_param(exit_delay_ms, uint, 0644);
MODULE_PARM_DESC(exit_delay_ms, "time that unloading takes");

struct gpu {
	struct pci_dev *pdev;
	unsigned int minor;
	atomic_t users;
	struct i2c_adapter i2c;
};

struct handle {
	struct gpu *gpu;
	struct page *page;
};

static struct gpu gpus[NV_MAX_GPUS];
static DEFINE_MUTEX(lock);
static struct cdev gpu_cdev, ctl_cdev, caps_cdev;
static dev_t caps_dev;
static unsigned int probed;

struct pci_dev *nvsim_gpu_get(unsigned int minor)
{
	struct pci_dev *pdev = NULL;

	if (minor >= NV_MAX_GPUS)
		return NULL;
	mutex_lock(&lock);
	pdev = gpus[minor].pdev;
	if (pdev)
		atomic_inc(&gpus[minor].users);
	mutex_unlock(&lock);
	return pdev;
}
EXPORT_SYMBOL(nvsim_gpu_get);

void nvsim_gpu_put(unsigned int minor)
{
	atomic_dec(&gpus[minor].users);
}
EXPORT_SYMBOL(nvsim_gpu_put);

static int nv_open(struct inode *inode, struct file *file)
{
	struct handle *handle;
	unsigned int minor = iminor(inode);

	if (minor == NV_CTL_MINOR)
		return 0;
	if (!nvsim_gpu_get(minor))
		return -ENODEV;
	handle = kzalloc(sizeof(*handle), GFP_KERNEL);
	if (handle)
		handle->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!handle || !handle->page) {
		kfree(handle);
		nvsim_gpu_put(minor);
		return -ENOMEM;
	}
	handle->gpu = &gpus[minor];
	file->private_data = handle;
	return 0;
}

static int nv_release(struct inode *inode, struct file *file)
{
	struct handle *handle = file->private_data;

	if (handle) {
		nvsim_gpu_put(handle->gpu->minor);
		put_page(handle->page);
		kfree(handle);
	}
	return 0;
}

static ssize_t nv_read(struct file *file, char __user *buffer, size_t size, loff_t *offset)
{
	return 0;
}

/* The mapping keeps its file, and the file keeps the module, when the descriptor is long closed. */
static int nv_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct handle *handle = file->private_data;

	if (!handle)
		return -ENODEV;
	if (vma->vm_end - vma->vm_start != PAGE_SIZE || vma->vm_pgoff)
		return -EINVAL;
	return vm_insert_page(vma, vma->vm_start, handle->page);
}

static struct sg_table *buf_map(struct dma_buf_attachment *attachment, enum dma_data_direction direction)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void buf_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
		      enum dma_data_direction direction)
{
}

static void buf_release(struct dma_buf *buf)
{
	struct gpu *gpu = buf->priv;

	nvsim_gpu_put(gpu->minor);
}

static const struct dma_buf_ops buf_ops = {
	.map_dma_buf = buf_map,
	.unmap_dma_buf = buf_unmap,
	.release = buf_release,
};

static long nv_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct handle *handle = file->private_data;
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *buf;
	int fd;

	if (command != NVSIM_IOCTL_DMABUF || !handle)
		return -ENOTTY;
	info.exp_name = "nv_dmabuf";
	info.ops = &buf_ops;
	info.size = PAGE_SIZE;
	info.flags = O_RDWR;
	info.priv = handle->gpu;
	if (!nvsim_gpu_get(handle->gpu->minor))
		return -ENODEV;
	buf = dma_buf_export(&info);
	if (IS_ERR(buf)) {
		nvsim_gpu_put(handle->gpu->minor);
		return PTR_ERR(buf);
	}
	fd = dma_buf_fd(buf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(buf);
	return fd;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = nv_open,
	.release = nv_release,
	.read = nv_read,
	.mmap = nv_mmap,
	.unlocked_ioctl = nv_ioctl,
};

static const struct file_operations caps_fops = { .owner = THIS_MODULE };

static int i2c_xfer(struct i2c_adapter *adapter, struct i2c_msg *messages, int count)
{
	return -ENXIO;
}

static u32 i2c_functionality(struct i2c_adapter *adapter)
{
	return I2C_FUNC_I2C;
}

static const struct i2c_algorithm i2c_algorithm = {
	.master_xfer = i2c_xfer,
	.functionality = i2c_functionality,
};

static int nv_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct gpu *gpu = NULL;
	unsigned int i;
	int error;

	if (fail_probe) {
		dev_err(&pdev->dev, "NVRM: RmInitAdapter failed!\n");
		return -EIO;
	}
	error = pci_enable_device(pdev);
	if (error)
		return error;
	mutex_lock(&lock);
	for (i = 0; i < NV_MAX_GPUS && !gpu; i++)
		if (!gpus[i].pdev)
			gpu = &gpus[i];
	if (gpu) {
		gpu->minor = gpu - gpus;
		atomic_set(&gpu->users, 0);
		gpu->pdev = pdev;
		probed++;
	}
	mutex_unlock(&lock);
	if (!gpu) {
		pci_disable_device(pdev);
		return -ENOSPC;
	}
	memset(&gpu->i2c, 0, sizeof(gpu->i2c));
	gpu->i2c.owner = THIS_MODULE;
	gpu->i2c.algo = &i2c_algorithm;
	gpu->i2c.dev.parent = &pdev->dev;
	snprintf(gpu->i2c.name, sizeof(gpu->i2c.name), "NVIDIA i2c adapter 1 at %x:%02x.%u", pdev->bus->number,
		 PCI_SLOT(pdev->devfn), PCI_FUNC(pdev->devfn));
	error = i2c_add_adapter(&gpu->i2c);
	if (error) {
		gpu->pdev = NULL;
		pci_disable_device(pdev);
		return error;
	}
	pci_set_drvdata(pdev, gpu);
	return 0;
}

static void nv_remove(struct pci_dev *pdev)
{
	struct gpu *gpu = pci_get_drvdata(pdev);

	if (atomic_read(&gpu->users)) {
		dev_err(&pdev->dev, "NVRM: Attempting to remove device with non-zero usage count!\n");
		for (;;)
			msleep(1000);
	}
	i2c_del_adapter(&gpu->i2c);
	mutex_lock(&lock);
	gpu->pdev = NULL;
	mutex_unlock(&lock);
	pci_disable_device(pdev);
}

static const struct pci_device_id ids[] = {
	{ .vendor = PCI_VENDOR_ID_NVIDIA, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID,
	  .class = PCI_CLASS_DISPLAY_VGA << 8, .class_mask = ~0 },
	{ .vendor = PCI_VENDOR_ID_NVIDIA, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID,
	  .class = PCI_CLASS_DISPLAY_3D << 8, .class_mask = ~0 },
	{ .vendor = PCI_VENDOR_ID_NVIDIA, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID,
	  .class = PCI_CLASS_DISPLAY_OTHER << 8, .class_mask = ~0 },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
	.name = "nvidia",
	.id_table = ids,
	.probe = nv_probe,
	.remove = nv_remove,
};

static int add_cdev(struct cdev *cdev, const struct file_operations *operations, dev_t first,
		    unsigned int count)
{
	cdev_init(cdev, operations);
	cdev->owner = THIS_MODULE;
	return cdev_add(cdev, first, count);
}

static int __init nv_init(void)
{
	int error = register_chrdev_region(MKDEV(NV_MAJOR, 0), NV_MODESET_MINOR, "nvidia");

	if (error)
		return error;
	error = register_chrdev_region(MKDEV(NV_MAJOR, NV_CTL_MINOR), 1, "nvidiactl");
	if (error)
		goto region;
	error = alloc_chrdev_region(&caps_dev, 0, 8, "nvidia-caps");
	if (error)
		goto ctl_region;
	error = pci_register_driver(&driver);
	if (error)
		goto caps_region;
	if (!probed) {
		pr_err("NVRM: No NVIDIA devices probed.\n");
		error = -ENODEV;
		goto pci;
	}
	error = add_cdev(&gpu_cdev, &fops, MKDEV(NV_MAJOR, 0), NV_MODESET_MINOR);
	if (error)
		goto pci;
	error = add_cdev(&ctl_cdev, &fops, MKDEV(NV_MAJOR, NV_CTL_MINOR), 1);
	if (error)
		goto gpu_node;
	error = add_cdev(&caps_cdev, &caps_fops, caps_dev, 8);
	if (error)
		goto ctl_node;
	return 0;

ctl_node:
	cdev_del(&ctl_cdev);
gpu_node:
	cdev_del(&gpu_cdev);
pci:
	pci_unregister_driver(&driver);
caps_region:
	unregister_chrdev_region(caps_dev, 8);
ctl_region:
	unregister_chrdev_region(MKDEV(NV_MAJOR, NV_CTL_MINOR), 1);
region:
	unregister_chrdev_region(MKDEV(NV_MAJOR, 0), NV_MODESET_MINOR);
	return error;
}

static void __exit nv_exit(void)
{
	if (exit_delay_ms)
		msleep(exit_delay_ms);
	cdev_del(&caps_cdev);
	cdev_del(&ctl_cdev);
	cdev_del(&gpu_cdev);
	pci_unregister_driver(&driver);
	unregister_chrdev_region(caps_dev, 8);
	unregister_chrdev_region(MKDEV(NV_MAJOR, NV_CTL_MINOR), 1);
	unregister_chrdev_region(MKDEV(NV_MAJOR, 0), NV_MODESET_MINOR);
}

module_init(nv_init);
module_exit(nv_exit);
MODULE_ALIAS_CHARDEV_MAJOR(NV_MAJOR);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test stand-in for NVIDIA's core module");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif

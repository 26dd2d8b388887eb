// SPDX-License-Identifier: GPL-2.0
/* Stand-in for amdgpu.ko: a card that is given away by unbinding through sysfs, never by unloading. */
#include <linux/module.h>
#include <linux/delay.h>
#include <linux/pci.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>

static bool fail_probe;
module_param(fail_probe, bool, 0644);
MODULE_PARM_DESC(fail_probe, "refuse the card, as some kernels do on binding it again");
static bool hang_remove;
module_param(hang_remove, bool, 0644);
MODULE_PARM_DESC(hang_remove, "never return from unbinding the card");

DEFINE_DRM_GEM_FOPS(fops);
static const struct drm_driver drm = {
	.driver_features = DRIVER_GEM | DRIVER_RENDER,
	.fops = &fops,
	.name = "amdgpu",
	.desc = "test stand-in",
};

static int amd_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct drm_device *device;
	int error;

	if (fail_probe) {
		dev_err(&pdev->dev, "amdgpu: Fatal error during GPU init\n");
		return -EIO;
	}
	error = pci_enable_device(pdev);
	if (error)
		return error;
	device = drm_dev_alloc(&drm, &pdev->dev);
	if (IS_ERR(device)) {
		pci_disable_device(pdev);
		return PTR_ERR(device);
	}
	error = drm_dev_register(device, 0);
	if (error) {
		drm_dev_put(device);
		pci_disable_device(pdev);
		return error;
	}
	pci_set_drvdata(pdev, device);
	return 0;
}

static void amd_remove(struct pci_dev *pdev)
{
	struct drm_device *device = pci_get_drvdata(pdev);

	while (hang_remove)
		msleep(1000);
	drm_dev_unplug(device);
	drm_dev_put(device);
	pci_disable_device(pdev);
}

static const struct pci_device_id ids[] = {
	{ .vendor = PCI_VENDOR_ID_ATI, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID,
	  .class = PCI_CLASS_DISPLAY_VGA << 8, .class_mask = ~0 },
	{ .vendor = PCI_VENDOR_ID_ATI, .device = PCI_ANY_ID, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID,
	  .class = PCI_CLASS_DISPLAY_OTHER << 8, .class_mask = ~0 },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver amd_driver = {
	.name = "amdgpu",
	.id_table = ids,
	.probe = amd_probe,
	.remove = amd_remove,
};
module_pci_driver(amd_driver);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test stand-in for AMD's driver");

// SPDX-License-Identifier: GPL-2.0
/*
 * Gives emulated cards another maker's identity before any driver or udev sees them, so that modalias, sysfs
 * and everything above are what they are with a real card. as=0000:01:00.0=10de:2684,... A card that is
 * removed and found again by a rescan gets it again.
 */
#include <linux/module.h>
#include <linux/device.h>
#include <linux/pci.h>

#define MAX_CARDS 16
static char *as[MAX_CARDS];
static int count;
module_param_array(as, charp, &count, 0444);

static void apply(struct pci_dev *pdev)
{
	unsigned int vendor, device;
	const char *name = pci_name(pdev);
	size_t length = strlen(name);
	int i;

	for (i = 0; i < count; i++) {
		if (strncmp(as[i], name, length) || as[i][length] != '=')
			continue;
		if (sscanf(as[i] + length + 1, "%x:%x", &vendor, &device) != 2)
			continue;
		pdev->vendor = vendor;
		pdev->device = device;
		pdev->subsystem_vendor = vendor;
		dev_info(&pdev->dev, "rig: plays %04x:%04x\n", vendor, device);
	}
}

static int on_bus_event(struct notifier_block *block, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_ADD_DEVICE)
		apply(to_pci_dev(data));
	return NOTIFY_OK;
}

static struct notifier_block block = { .notifier_call = on_bus_event };

static int __init identity_init(void)
{
	struct pci_dev *pdev = NULL;
	int error = bus_register_notifier(&pci_bus_type, &block);

	if (error)
		return error;
	for_each_pci_dev(pdev)
		apply(pdev);
	return 0;
}

module_init(identity_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("other makers' identities for emulated cards");

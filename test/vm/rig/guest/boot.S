/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A guest's whole operating system, in one boot sector. The two settings near its end are patched into the
 * copy that a guest gets: `acpi` (1: obey the power button) and `ticks` (power off after so many 18.2ths of
 * a second; 0: never).
 */
	.code16
	.globl _start
	.set PM1_STS, 0x600		/* where SeaBIOS puts q35's power management registers */
	.set PM1_EN, 0x602
	.set PM1_CNT, 0x604
	.set PWRBTN, 0x100
	.set S5, 0x2000			/* SLP_EN with SLP_TYP 0, which is off */
	.set BIOS_TICKS, 0x46c

_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movl	BIOS_TICKS, %ebx
	sti
	cmpb	$0, acpi
	je	wait
	movw	$PM1_EN, %dx
	inw	%dx, %ax
	orw	$PWRBTN, %ax
	outw	%ax, %dx
wait:
	hlt
	cmpb	$0, acpi
	je	clock
	movw	$PM1_STS, %dx
	inw	%dx, %ax
	testw	$PWRBTN, %ax
	jnz	off
clock:
	movl	ticks, %ecx
	testl	%ecx, %ecx
	jz	wait
	movl	BIOS_TICKS, %eax
	subl	%ebx, %eax
	cmpl	%ecx, %eax
	jb	wait
off:
	movw	$PM1_CNT, %dx
	movw	$S5, %ax
	outw	%ax, %dx
	hlt
	jmp	off

	.org	504
acpi:	.byte	0
	.byte	0
ticks:	.long	0
	.byte	0x55, 0xaa

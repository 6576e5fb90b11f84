/* SPDX-License-Identifier: MIT */
/*
 * kvm.c - see kvm.h. Opens /dev/kvm for machine.c and core/doctor, and turns what the host lacks
 * into words and a remedy. Owns nothing.
 */
#include "core/machine/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KVM_DEVICE "/dev/kvm"
#define UNAVAILABLE "Backend unavailable: KVM device " KVM_DEVICE " not accessible: "

const struct kvm_need kvm_needs[] = {
	{ KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY", "guest memory" },
	{ KVM_CAP_NR_MEMSLOTS, 16, "KVM_CAP_NR_MEMSLOTS", "memory, configuration space and shared windows" },
	{ KVM_CAP_READONLY_MEM, 1, "KVM_CAP_READONLY_MEM", "configuration space that is read without an exit" },
	{ KVM_CAP_MAX_VCPUS, 1, "KVM_CAP_MAX_VCPUS", "virtual CPUs" },
	{ KVM_CAP_IMMEDIATE_EXIT, 1, "KVM_CAP_IMMEDIATE_EXIT", "stopping a virtual CPU" },
	{ KVM_CAP_MP_STATE, 1, "KVM_CAP_MP_STATE", "starting further virtual CPUs" },
	{ KVM_CAP_EXT_CPUID, 1, "KVM_CAP_EXT_CPUID", "telling the guest what its CPU can do" },
	{ KVM_CAP_SET_TSS_ADDR, 1, "KVM_CAP_SET_TSS_ADDR", "real mode on Intel CPUs" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, "KVM_CAP_SET_IDENTITY_MAP_ADDR", "real mode on Intel CPUs" },
	{ KVM_CAP_IRQCHIP, 1, "KVM_CAP_IRQCHIP", "interrupt controllers in the kernel" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1, "KVM_CAP_TSC_DEADLINE_TIMER", "the guest's timers" },
	{ KVM_CAP_IRQ_ROUTING, 1, "KVM_CAP_IRQ_ROUTING", "message-signalled interrupts" },
	{ KVM_CAP_SIGNAL_MSI, 1, "KVM_CAP_SIGNAL_MSI", "message-signalled interrupts" },
	{ KVM_CAP_IRQFD, 1, "KVM_CAP_IRQFD", "device interrupts without an exit" },
	{ KVM_CAP_IOEVENTFD, 1, "KVM_CAP_IOEVENTFD", "device notifications without an exit" },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1, "KVM_CAP_IOEVENTFD_NO_LENGTH", "device notifications without an exit" },
	{ 0, 0, NULL, NULL },
};

/* EACCES: membership of the device's group helps only where that group may read and write it, and is not root's. */
static int explain_permission(struct error *err)
{
	const struct group *group;
	const struct passwd *user;
	struct stat st;

	if (stat(KVM_DEVICE, &st))
		memset(&st, 0, sizeof st);
	group = getgrgid(st.st_gid);
	user = getpwuid(geteuid());
	if (st.st_gid == 0 || (st.st_mode & 0060) != 0060)
		return error_set(err, EACCES,
		                 UNAVAILABLE
		                 "permission denied, and only root may use it on this host: give it to a group "
		                 "(sudo groupadd -f -r kvm; sudo chgrp kvm " KVM_DEVICE "; sudo chmod 0660 " KVM_DEVICE
		                 ") and add yourself to that group: sudo usermod -aG kvm %s, then log in again",
		                 user ? user->pw_name : "USER");
	return error_set(err, EACCES,
	                 UNAVAILABLE "permission denied: add yourself to the group that owns " KVM_DEVICE
	                             ": sudo usermod -aG %s %s, then log in again",
	                 group ? group->gr_name : "kvm", user ? user->pw_name : "USER");
}

static int explain_open(int code, struct error *err)
{
	switch (code) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_set(err, code,
		                 UNAVAILABLE
		                 "%s: is the module loaded? sudo modprobe kvm-intel or kvm-amd (virtualisation "
		                 "must be on in the firmware setup); in a VM: enable nested virtualisation on "
		                 "its host; in a container: pass --device " KVM_DEVICE,
		                 code == ENOENT ? "it does not exist" : "no driver behind it");
	case EACCES:
		return explain_permission(err);
	case EPERM:
		return error_set(err, code,
		                 UNAVAILABLE "forbidden, as by a container's device rules: start the container with "
		                             "--device " KVM_DEVICE);
	case EBUSY:
		return error_set(err, code,
		                 UNAVAILABLE
		                 "busy: another hypervisor (VirtualBox, VMware) holds the CPU's virtualisation: "
		                 "stop its machines first");
	case EMFILE:
	case ENFILE:
		return error_set(err, code, UNAVAILABLE "too many open files: raise the limit (ulimit -n)");
	default:
		return error_set(err, code, UNAVAILABLE "%s: look at the host's kernel log (sudo dmesg | grep -i kvm)",
		                 strerror(code));
	}
}

static int check_needs(int fd, struct error *err)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (version < 0)
		return error_set(err, ENOTTY,
		                 UNAVAILABLE "it is no KVM device: remove it and load the module, "
		                             "sudo modprobe kvm-intel or kvm-amd");
	if (version != KVM_API_VERSION)
		return error_set(err, ENOTSUP,
		                 UNAVAILABLE
		                 "it speaks KVM API version %d and capsa speaks %d: is it really " KVM_DEVICE
		                 " of a Linux kernel 4.20 or later?",
		                 version, KVM_API_VERSION);
	for (const struct kvm_need *need = kvm_needs; need->name; need++) {
		int have = ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)need->capability);

		if (have < need->at_least)
			return error_set(err, ENOTSUP,
			                 UNAVAILABLE
			                 "this host's KVM lacks %s (%d of %d), needed for %s: Linux 4.20 or "
			                 "later is required; `capsa doctor` shows all that is missing",
			                 need->name, have < 0 ? 0 : have, need->at_least, need->what_for);
	}
	return 0;
}

int kvm_open(int *fd, struct error *err)
{
	int opened = open(KVM_DEVICE, O_RDWR | O_CLOEXEC), rc;

	if (opened < 0)
		return explain_open(errno, err);
	rc = check_needs(opened, err);
	if (rc) {
		close(opened);
		return rc;
	}
	*fd = opened;
	return 0;
}

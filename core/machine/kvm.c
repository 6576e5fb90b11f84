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
#include <stdarg.h>
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

__attribute__((format(printf, 4, 5))) static int explain(struct kvm_fault *fault, int code, const char *cause,
                                                         const char *fmt, ...)
{
	va_list args;

	snprintf(fault->cause, sizeof fault->cause, "%s", cause);
	va_start(args, fmt);
	vsnprintf(fault->remedy, sizeof fault->remedy, fmt, args);
	va_end(args);
	return -code;
}

/* EACCES: membership of the device's group helps only where that group may read and write it, and is not root's. */
static int explain_permission(struct kvm_fault *fault)
{
	const struct group *group;
	const struct passwd *user;
	struct stat st;

	if (stat(KVM_DEVICE, &st))
		memset(&st, 0, sizeof st);
	group = getgrgid(st.st_gid);
	user = getpwuid(geteuid());
	if (st.st_gid == 0 || (st.st_mode & 0060) != 0060)
		return explain(fault, EACCES, "permission denied, and only root may use it on this host",
		               "give it to a group (sudo groupadd -f -r kvm; sudo chgrp kvm " KVM_DEVICE
		               "; sudo chmod 0660 " KVM_DEVICE
		               ") and add yourself to that group: sudo usermod -aG kvm %s, then log in again",
		               user ? user->pw_name : "USER");
	return explain(fault, EACCES, "permission denied",
	               "add yourself to the group that owns " KVM_DEVICE ": sudo usermod -aG %s %s, then log in again",
	               group ? group->gr_name : "kvm", user ? user->pw_name : "USER");
}

static int explain_open(int code, struct kvm_fault *fault)
{
	switch (code) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return explain(fault, code, code == ENOENT ? "it does not exist" : "no driver behind it",
		               "is the module loaded? sudo modprobe kvm-intel or kvm-amd (virtualisation must be on in "
		               "the firmware setup); in a VM: enable nested virtualisation on its host; in a "
		               "container: pass --device " KVM_DEVICE);
	case EACCES:
		return explain_permission(fault);
	case EPERM:
		return explain(fault, code, "forbidden, as by a container's device rules",
		               "start the container with --device " KVM_DEVICE);
	case EBUSY:
		return explain(fault, code,
		               "busy: another hypervisor (VirtualBox, VMware) holds the CPU's virtualisation",
		               "stop its machines first");
	case EMFILE:
	case ENFILE:
		return explain(fault, code, "too many open files", "raise the limit (ulimit -n)");
	default:
		return explain(fault, code, strerror(code),
		               "look at the host's kernel log (sudo dmesg | grep -i kvm)");
	}
}

int kvm_device_open(int *fd, struct kvm_fault *fault)
{
	*fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	return *fd < 0 ? explain_open(errno, fault) : 0;
}

int kvm_check_version(int fd, struct kvm_fault *fault)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);
	char cause[80];

	if (version == KVM_API_VERSION)
		return 0;
	if (version < 0)
		return explain(fault, ENOTTY, "it is no KVM device",
		               "remove it and load the module, sudo modprobe kvm-intel or kvm-amd");
	snprintf(cause, sizeof cause, "it speaks KVM API version %d and capsa speaks %d", version, KVM_API_VERSION);
	return explain(fault, ENOTSUP, cause, "is it really " KVM_DEVICE " of a Linux kernel 4.20 or later?");
}

int kvm_has(int fd, const struct kvm_need *need)
{
	int have = ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)need->capability);

	return have < 0 ? 0 : have;
}

static int check_needs(int fd, struct error *err)
{
	for (const struct kvm_need *need = kvm_needs; need->name; need++) {
		int have = kvm_has(fd, need);

		if (have < need->at_least)
			return error_set(err, ENOTSUP,
			                 UNAVAILABLE
			                 "this host's KVM lacks %s (%d of %d), needed for %s: Linux 4.20 or "
			                 "later is required; `capsa doctor` shows all that is missing",
			                 need->name, have, need->at_least, need->what_for);
	}
	return 0;
}

int kvm_open(int *fd, struct error *err)
{
	struct kvm_fault fault;
	int rc = kvm_device_open(fd, &fault);

	if (rc)
		return error_set(err, -rc, UNAVAILABLE "%s: %s", fault.cause, fault.remedy);
	rc = kvm_check_version(*fd, &fault);
	if (rc)
		error_set(err, -rc, UNAVAILABLE "%s: %s", fault.cause, fault.remedy);
	else
		rc = check_needs(*fd, err);
	if (rc) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

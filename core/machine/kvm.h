/* SPDX-License-Identifier: MIT */
/*
 * kvm.h - opening /dev/kvm and what capsa needs of it; shared with core/doctor.
 */
#ifndef CAPSA_MACHINE_KVM_H
#define CAPSA_MACHINE_KVM_H

#include <stdbool.h>

#include "core/base/error.h"

/* A capability that capsa cannot do without. A table of these ends with a NULL name. */
struct kvm_need {
	int capability; /* KVM_CAP_* */
	int at_least;   /* what KVM_CHECK_EXTENSION must return */
	const char *name;
	const char *what_for;
};
extern const struct kvm_need kvm_needs[];

/* What is wrong with /dev/kvm, and what to do. */
struct kvm_fault {
	char cause[160];
	char remedy[400];
};

/* The steps of kvm_open(), for the doctor. 0, or -errno with *fault. */
int kvm_device_open(int *fd, struct kvm_fault *fault);
int kvm_check_version(int fd, struct kvm_fault *fault);
/* What this KVM has of it, to be compared with at_least. */
int kvm_has(int fd, const struct kvm_need *need);

/*
 * Opens /dev/kvm and checks API version and capabilities. *fd belongs to the caller. -errno with err:
 * "Backend unavailable: KVM device /dev/kvm not accessible: ..." and the remedy.
 */
int kvm_open(int *fd, struct error *err);

#endif

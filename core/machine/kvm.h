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

/*
 * Opens /dev/kvm and checks API version and capabilities. *fd belongs to the caller. -errno with err:
 * "Backend unavailable: KVM device /dev/kvm not accessible: ..." and the remedy.
 */
int kvm_open(int *fd, struct error *err);

#endif

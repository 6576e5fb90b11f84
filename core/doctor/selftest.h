/* SPDX-License-Identifier: MIT */
/*
 * selftest.h - runs a tiny guest for a moment: tells a KVM that works from one that interprets the guest, or cannot
 * run some instructions. Main thread; takes at most two seconds.
 */
#ifndef CAPSA_DOCTOR_SELFTEST_H
#define CAPSA_DOCTOR_SELFTEST_H

enum selftest_verdict {
	SELFTEST_USABLE,
	SELFTEST_SLOW,   /* works, but guests run as if interpreted */
	SELFTEST_BROKEN,
};

struct selftest_result {
	enum selftest_verdict verdict;
	double rate; /* millions of guest instructions a second; 0: not measured */
	char text[512]; /* what was found, for people */
};

/* With an open /dev/kvm. */
void selftest_run(int kvm_fd, struct selftest_result *result);

#endif

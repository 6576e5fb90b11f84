/* SPDX-License-Identifier: MIT */
/*
 * selftest.c - see selftest.h. Called by host.c. The guest (selftest-guest.S) says over a port which step it is at;
 * a thread runs it, and is kicked out of KVM_RUN when the time is over.
 */
#include "core/doctor/selftest.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/machine/cpuid.h"
#include "core/machine/memory.h"
#include "core/machine/msr.h"
#include "core/machine/vcpu-failure.h"

/* The guest's memory: descriptor tables and page tables below, code and an XSAVE area behind. */
enum {
	SELFTEST_GDT = 0x500,
	SELFTEST_STACK = 0x1000, /* grows down */
	SELFTEST_PAGE_TABLES = 0x1000,
	SELFTEST_IDT = 0x4000,
	SELFTEST_CODE = 0x8000,
	SELFTEST_SIZE = 0x200000,
};

#define SELFTEST_PORT 0x10u
#define SELFTEST_MARKER 0x4000ca95u
#define SELFTEST_SECONDS 2
#define SLOW_RATE 100.0 /* million instructions a second: hardware of any age does many times that */
#define LOOP_INSTRUCTIONS 400000.0

enum selftest_step {
	STEP_NONE,
	STEP_CPUID,
	STEP_POPCNT,
	STEP_INT3,
	STEP_SMAP,
	STEP_CMPXCHG16B,
	STEP_XSAVE,
	STEP_LOOP,
	STEP_DONE,
	STEP_FAILED,
};

static const char *const step_names[] = {
	[STEP_NONE] = "the first instruction",
	[STEP_CPUID] = "CPUID (the guest does not see what KVM_SET_CPUID2 said)",
	[STEP_POPCNT] = "POPCNT",
	[STEP_INT3] = "INT3 through the guest's own interrupt table",
	[STEP_SMAP] = "STAC and CLAC",
	[STEP_CMPXCHG16B] = "CMPXCHG16B",
	[STEP_XSAVE] = "XGETBV, XSAVE and XRSTOR",
	[STEP_LOOP] = "a plain loop",
};

extern const uint8_t selftest_guest[], selftest_guest_int3[], selftest_guest_end[];

struct selftest {
	int kvm_fd, vm_fd, vcpu_fd;
	struct memory *memory;
	struct kvm_cpuid2 *cpuid;
	struct kvm_run *run;
	size_t run_size;
	enum selftest_step step;
	double loop_began;
	struct selftest_result *result;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void broken(struct selftest *t, const char *what)
{
	t->result->verdict = SELFTEST_BROKEN;
	snprintf(t->result->text, sizeof t->result->text, "%s", what);
}

static void write_tables(struct selftest *t)
{
	uint8_t *ram = t->memory->ranges[0].host;
	uint64_t gdt[4] = { 0, 0, 0x00af9b000000ffffull, 0x00cf93000000ffffull };
	uint64_t pml4 = (SELFTEST_PAGE_TABLES + 0x1000) | 3, pdpt = (SELFTEST_PAGE_TABLES + 0x2000) | 3;
	uint64_t handler = SELFTEST_CODE + (uint64_t)(selftest_guest_int3 - selftest_guest);
	/* An interrupt gate of 64-bit mode: offset, selector 0x10, present. */
	uint64_t gate[2] = { (handler & 0xffff) | 0x10ull << 16 | 0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48,
		             handler >> 32 };
	uint64_t page = 0x83; /* 2 MiB, writable, present */

	memcpy(ram + SELFTEST_GDT, gdt, sizeof gdt);
	memcpy(ram + SELFTEST_PAGE_TABLES, &pml4, sizeof pml4);
	memcpy(ram + SELFTEST_PAGE_TABLES + 0x1000, &pdpt, sizeof pdpt);
	memcpy(ram + SELFTEST_PAGE_TABLES + 0x2000, &page, sizeof page);
	memcpy(ram + SELFTEST_IDT + 3 * sizeof gate, gate, sizeof gate);
	memcpy(ram + SELFTEST_CODE, selftest_guest, (size_t)(selftest_guest_end - selftest_guest));
}

static int set_registers(struct selftest *t)
{
	struct kvm_segment code = { .limit = ~0u, .selector = 0x10, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .limit = ~0u, .selector = 0x18, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };
	struct kvm_regs regs = { .rip = SELFTEST_CODE, .rsp = SELFTEST_STACK, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(t->vcpu_fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.gdt = (struct kvm_dtable){ .base = SELFTEST_GDT, .limit = 31 };
	sregs.idt = (struct kvm_dtable){ .base = SELFTEST_IDT, .limit = 4 * 16 - 1 };
	sregs.cr0 = 0x80000031; /* PG, NE, ET, PE */
	sregs.cr3 = SELFTEST_PAGE_TABLES;
	sregs.cr4 = 1 << 5 | 1 << 9; /* PAE, OSFXSR */
	sregs.efer = EFER_LME | EFER_LMA;
	return ioctl(t->vcpu_fd, KVM_SET_SREGS, &sregs) || ioctl(t->vcpu_fd, KVM_SET_REGS, &regs) ? -errno : 0;
}

static int set_cpuid(struct selftest *t, struct error *err)
{
	int rc = cpuid_supported(t->kvm_fd, &t->cpuid, err);

	if (rc)
		return rc;
	for (unsigned i = 0; i < t->cpuid->nent; i++)
		if (t->cpuid->entries[i].function == 0x40000000)
			t->cpuid->entries[i].eax = SELFTEST_MARKER;
	return ioctl(t->vcpu_fd, KVM_SET_CPUID2, t->cpuid)
	               ? error_set(err, errno, "KVM_SET_CPUID2: %s", strerror(errno))
	               : 0;
}

static int build(struct selftest *t, struct error *err)
{
	struct kvm_userspace_memory_region region = { .memory_size = SELFTEST_SIZE };
	int rc, size;

	t->vm_fd = ioctl(t->kvm_fd, KVM_CREATE_VM, 0);
	if (t->vm_fd < 0)
		return error_set(err, errno, "KVM_CREATE_VM: %s", strerror(errno));
	rc = memory_create(SELFTEST_SIZE, false, &t->memory, err);
	if (rc)
		return rc;
	region.userspace_addr = (uint64_t)(uintptr_t)t->memory->ranges[0].host;
	if (ioctl(t->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		return error_set(err, errno, "KVM_SET_USER_MEMORY_REGION: %s", strerror(errno));
	ioctl(t->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	t->vcpu_fd = ioctl(t->vm_fd, KVM_CREATE_VCPU, 0);
	size = ioctl(t->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (t->vcpu_fd < 0 || size < (int)sizeof *t->run)
		return error_set(err, EIO, "KVM_CREATE_VCPU: %s", strerror(errno));
	t->run_size = (size_t)size;
	t->run = mmap(NULL, t->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu_fd, 0);
	if (t->run == MAP_FAILED)
		return error_set(err, errno, "kvm_run: %s", strerror(errno));
	rc = set_cpuid(t, err);
	if (rc)
		return rc;
	write_tables(t);
	rc = set_registers(t);
	return rc ? error_set(err, -rc, "KVM refuses the registers: %s", strerror(-rc)) : 0;
}

/* Takes the step that the guest announced. Returns whether it goes on. */
static bool step_taken(struct selftest *t)
{
	enum selftest_step step = *((const uint8_t *)t->run + t->run->io.data_offset);
	char text[160];

	if (t->run->io.port != SELFTEST_PORT || step <= t->step || step > STEP_FAILED) {
		broken(t, "the guest said something that it does not say");
		return false;
	}
	switch (step) {
	case STEP_LOOP:
		t->loop_began = now();
		break;
	case STEP_DONE:
		t->result->rate = LOOP_INSTRUCTIONS / 1e6 / (now() - t->loop_began);
		t->result->verdict = t->result->rate < SLOW_RATE ? SELFTEST_SLOW : SELFTEST_USABLE;
		snprintf(t->result->text, sizeof t->result->text, "a guest ran %.0f million instructions a second",
		         t->result->rate);
		return false;
	case STEP_FAILED:
		snprintf(text, sizeof text, "a guest got a wrong result from %s", step_names[t->step]);
		broken(t, text);
		return false;
	default:
		break;
	}
	t->step = step;
	return true;
}

static void *run_guest(void *ctx)
{
	struct selftest *t = ctx;
	char why[400], text[512];

	for (;;) {
		if (ioctl(t->vcpu_fd, KVM_RUN, 0)) {
			if (errno == EINTR) {
				snprintf(text, sizeof text, "a guest did not get past %s within %d s",
				         step_names[t->step], SELFTEST_SECONDS);
				broken(t, text);
				return NULL;
			}
			snprintf(text, sizeof text, "KVM_RUN at %s: %s", step_names[t->step], strerror(errno));
			broken(t, text);
			return NULL;
		}
		if (t->run->exit_reason == KVM_EXIT_IO) {
			if (!step_taken(t))
				return NULL;
			continue;
		}
		vcpu_failure_text(t->vcpu_fd, t->run, t->memory, 0, why, sizeof why);
		snprintf(text, sizeof text, "a guest failed at %s: %s", step_names[t->step], why);
		text[strcspn(text, ";")] = '\0'; /* the rest says to ask the doctor */
		broken(t, text);
		return NULL;
	}
}

static void kicked(int signo)
{
	(void)signo;
}

/* Runs the guest on a thread of its own, and ends it in time. */
static void run_limited(struct selftest *t)
{
	struct sigaction action = { .sa_handler = kicked };
	struct timespec end;
	pthread_t thread;

	sigaction(SIGRTMIN, &action, NULL);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += SELFTEST_SECONDS;
	if (pthread_create(&thread, NULL, run_guest, t)) {
		broken(t, "no thread for the guest");
		return;
	}
	if (pthread_timedjoin_np(thread, NULL, &end) == 0)
		return;
	__atomic_store_n(&t->run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(thread, SIGRTMIN);
	pthread_join(thread, NULL);
}

void selftest_run(int kvm_fd, struct selftest_result *result)
{
	struct selftest t = { .kvm_fd = kvm_fd, .vm_fd = -1, .vcpu_fd = -1, .run = MAP_FAILED, .result = result };
	struct error err = { "" };

	*result = (struct selftest_result){ .verdict = SELFTEST_BROKEN };
	if (build(&t, &err))
		broken(&t, err.text);
	else
		run_limited(&t);
	if (t.run != MAP_FAILED)
		munmap(t.run, t.run_size);
	if (t.vcpu_fd >= 0)
		close(t.vcpu_fd);
	if (t.vm_fd >= 0)
		close(t.vm_fd);
	if (t.memory)
		memory_destroy(t.memory);
	free(t.cpuid);
}

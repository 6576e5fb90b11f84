/* SPDX-License-Identifier: MIT */
/*
 * vcpu.c - see vcpu.h. Called by machine.c.
 *
 * Theory of operation: the thread calls KVM_RUN until it is kicked or the machine ends. An
 * exit is answered in the shared kvm_run page: port and MMIO accesses go to the buses, a
 * triple fault is a reset, what KVM cannot run is told with everything that helps to find out
 * why. Leaving: vcpu_kick() sets immediate_exit and sends a signal, so that KVM_RUN returns
 * EINTR whether the thread is in the guest already or about to enter it.
 *
 * Pausing goes the same way, but the thread then waits under `lock`. It does so only behind a KVM_RUN that said EINTR:
 * that one has completed the last exit's access in the kernel, so a paused vCPU has nothing half done. Everything about
 * leaving and pausing changes under the lock, immediate_exit included: it is taken back by the thread itself as it goes
 * on, and not where it is to leave, so no kick is ever lost.
 *
 * EFAULT means that the guest has touched a page without anything behind it, and that the instruction has not been
 * executed. Where `fault` has mended some page, or is not done with searching, the vCPU runs on: either that was the
 * page, or EFAULT comes again. Where it found nothing, another vCPU may have been faster, so only the third time in
 * a row is the end. Each turn is bounded and looks at `leave`: such a vCPU can be ended and paused like any other.
 */
#include "core/machine/vcpu.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/machine/cpuid.h"
#include "core/machine/msr.h"
#include "core/machine/vcpu-failure.h"

/* How often in a row EFAULT may come with nothing to be mended. */
#define MAX_FRUITLESS 3u

/* Takes a thread out of KVM_RUN; no meaning of its own. */
#define KICK_SIGNAL SIGRTMIN

struct vcpu {
	struct vcpu_setup setup;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started;
	atomic_bool leave;
	atomic_ullong exits[VCPU_EXITS];
	struct page_guard_search search; /* the thread's own, as the next */
	unsigned fruitless;              /* searches since KVM_RUN went well */

	pthread_mutex_t lock; /* over all below, and over writes of immediate_exit and of `leave` by others */
	pthread_cond_t go_on;
	bool pause; /* is to stand still */
	bool told;  /* `paused` was called for it */
	bool gone;  /* the thread runs no guest code any more */
};

static int set_cpuid(struct vcpu *v, struct error *err)
{
	size_t size = sizeof *v->setup.cpuid + v->setup.cpuid->nent * sizeof v->setup.cpuid->entries[0];
	struct kvm_cpuid2 *cpuid = malloc(size);
	int rc = 0;

	if (!cpuid)
		return error_set(err, ENOMEM, "no memory for CPUID");
	memcpy(cpuid, v->setup.cpuid, size);
	cpuid_set_topology(cpuid, v->setup.index, v->setup.cpus);
	if (ioctl(v->fd, KVM_SET_CPUID2, cpuid))
		rc = error_set(err, errno, "KVM refuses the CPUID of vCPU %u: %s", v->setup.index, strerror(errno));
	free(cpuid);
	return rc;
}

/* What firmware would have set up and Linux takes for granted: fast strings, write-back memory by default. */
static int set_msrs(struct vcpu *v, struct error *err)
{
	union {
		struct kvm_msrs msrs;
		char room[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)];
	} all = { .msrs.nmsrs = 2 };

	all.msrs.entries[0] = (struct kvm_msr_entry){ .index = MSR_IA32_MISC_ENABLE,
						      .data = MSR_IA32_MISC_ENABLE_FAST_STRING };
	all.msrs.entries[1] = (struct kvm_msr_entry){ .index = MSR_MTRR_DEF_TYPE,
						      .data = MSR_MTRR_DEF_TYPE_ENABLE | MSR_MTRR_DEF_TYPE_WRITE_BACK };
	if (ioctl(v->fd, KVM_SET_MSRS, &all) < 0)
		return error_set(err, errno, "KVM refuses the registers of vCPU %u (KVM_SET_MSRS)", v->setup.index);
	return 0;
}

int vcpu_create(const struct vcpu_setup *setup, struct vcpu **out, struct error *err)
{
	struct vcpu *v = calloc(1, sizeof *v);
	int rc, size;

	if (!v)
		return error_set(err, ENOMEM, "no memory for vCPU %u", setup->index);
	v->setup = *setup;
	v->run = MAP_FAILED;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->go_on, NULL);
	v->fd = ioctl(setup->vm_fd, KVM_CREATE_VCPU, (unsigned long)setup->index);
	if (v->fd < 0) {
		rc = error_set(err, errno, "KVM makes no vCPU %u: %s", setup->index, strerror(errno));
		goto fail;
	}
	size = ioctl(setup->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof *v->run) {
		rc = error_set(err, EPROTO, "KVM gives no kvm_run page (KVM_GET_VCPU_MMAP_SIZE)");
		goto fail;
	}
	v->run_size = (size_t)size;
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		rc = error_set(err, errno, "cannot map the kvm_run page of vCPU %u: %s", setup->index, strerror(errno));
		goto fail;
	}
	/* It holds the virtual machine, and no process that a plugin begins has a part of that. */
	(void)madvise(v->run, v->run_size, MADV_DONTFORK);
	rc = set_cpuid(v, err);
	if (!rc)
		rc = set_msrs(v, err);
	if (rc)
		goto fail;
	*out = v;
	return 0;

fail:
	vcpu_destroy(v);
	return rc;
}

void vcpu_destroy(struct vcpu *v)
{
	if (!v)
		return;
	vcpu_join(v);
	if (v->run != MAP_FAILED)
		munmap(v->run, v->run_size);
	if (v->fd >= 0)
		close(v->fd);
	pthread_cond_destroy(&v->go_on);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static struct kvm_segment flat_segment(uint16_t selector, bool code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = code ? 0xb : 0x3, /* accessed; execute/read or read/write */
		.present = 1,
		.s = 1,
		.l = code,
		.db = !code,
		.g = 1,
	};
}

int vcpu_set_entry(struct vcpu *v, const struct boot_entry *entry, struct error *err)
{
	enum { CR0_PE = 1, CR0_ET = 1 << 4, CR0_NE = 1 << 5, CR4_PAE = 1 << 5 };
	static const uint64_t cr0_pg = 1ull << 31;
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsi = entry->rsi,
		.rsp = entry->rsp,
		.rflags = 2, /* the bit that is always set; interrupts off */
	};

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs))
		goto fail;
	sregs.cs = flat_segment(0x10, true);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(0x18, false);
	/* Intel's VMX wants a busy 64-bit task segment; Linux loads its own. */
	sregs.tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	sregs.ldt = (struct kvm_segment){ .type = 2, .present = 1, .unusable = 1 };
	sregs.gdt.base = entry->gdt_base;
	sregs.gdt.limit = entry->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | cr0_pg;
	sregs.cr3 = entry->cr3;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(v->fd, KVM_SET_SREGS, &sregs) || ioctl(v->fd, KVM_SET_REGS, &regs))
		goto fail;
	return 0;

fail:
	return error_set(err, errno, "KVM refuses the registers of vCPU %u: %s", v->setup.index, strerror(errno));
}

static void port_access(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	unsigned len = run->io.size;
	uint8_t *data = (uint8_t *)v->run + run->io.data_offset;
	uint32_t count = run->io.count;

	/* KVM bounds len and count by the page that holds the data. */
	for (; count > 0; count--, data += len) {
		uint64_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_IN) {
			bus_read(v->setup.ports, run->io.port, len, &value);
			memcpy(data, &value, len);
		} else {
			memcpy(&value, data, len);
			bus_write(v->setup.ports, run->io.port, len, value);
		}
	}
}

static void mmio_access(struct vcpu *v)
{
	uint64_t value = 0;
	unsigned len = v->run->mmio.len;

	if (v->run->mmio.is_write) {
		memcpy(&value, v->run->mmio.data, len);
		bus_write(v->setup.mmio, v->run->mmio.phys_addr, len, value);
	} else {
		bus_read(v->setup.mmio, v->run->mmio.phys_addr, len, &value);
		memcpy(v->run->mmio.data, &value, len);
	}
}

static void end(struct vcpu *v, enum machine_end why, const char *text)
{
	atomic_store(&v->leave, true);
	v->setup.ended(v->setup.ctx, why, text);
}

static void failed(struct vcpu *v)
{
	char text[512];

	vcpu_failure_text(v->fd, v->run, v->setup.memory, v->setup.index, text, sizeof text);
	end(v, MACHINE_FAILED, text);
}

/* Only the vCPU's own thread adds: no locked instruction is needed. */
static void count(struct vcpu *v, enum vcpu_exit kind)
{
	unsigned long long n = atomic_load_explicit(&v->exits[kind], memory_order_relaxed);

	atomic_store_explicit(&v->exits[kind], n + 1, memory_order_relaxed);
}

static void dispatch(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		count(v, VCPU_EXIT_IO);
		port_access(v);
		return;
	case KVM_EXIT_MMIO:
		count(v, VCPU_EXIT_MMIO);
		mmio_access(v);
		return;
	default:
		break;
	}
	count(v, VCPU_EXIT_OTHER);
	switch (v->run->exit_reason) {
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN: /* triple fault */
		end(v, MACHINE_RESET, NULL);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		end(v, v->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? MACHINE_POWERED_OFF : MACHINE_RESET,
		    NULL);
		break;
	default:
		failed(v);
		break;
	}
}

/* Under the lock: says once that it stands still. */
static void tell_paused(struct vcpu *v)
{
	if (!v->pause || v->told)
		return;
	v->told = true;
	v->setup.paused(v->setup.ctx);
}

/* KVM_RUN was interrupted: a kick, or a pause. */
static void interrupted(struct vcpu *v)
{
	count(v, VCPU_EXIT_SIGNAL);
	pthread_mutex_lock(&v->lock);
	if (v->pause && !atomic_load(&v->leave)) {
		/* Asked to go on and at once to pause again, it has not moved, but must say so. */
		while (v->pause && !atomic_load(&v->leave)) {
			tell_paused(v);
			pthread_cond_wait(&v->go_on, &v->lock);
		}
		/* A guest without kvmclock has nothing to be told; its watchdogs may complain. */
		if (!atomic_load(&v->leave))
			ioctl(v->fd, KVM_KVMCLOCK_CTRL, 0);
	}
	if (!atomic_load(&v->leave))
		v->run->immediate_exit = 0;
	pthread_mutex_unlock(&v->lock);
}

static void run_failed(struct vcpu *v, int error)
{
	char text[128];

	snprintf(text, sizeof text, "KVM_RUN of vCPU %u: %s", v->setup.index, strerror(error));
	end(v, MACHINE_FAILED, text);
}

static void faulted(struct vcpu *v)
{
	enum page_guard_found found = PAGE_GUARD_NONE;

	count(v, VCPU_EXIT_OTHER);
	if (v->setup.fault)
		found = v->setup.fault(v->setup.ctx, v->run, &v->search);
	switch (found) {
	case PAGE_GUARD_FOUND:
		v->fruitless = 0;
		break;
	case PAGE_GUARD_MORE:
		break;
	case PAGE_GUARD_NONE:
		if (!v->setup.fault || ++v->fruitless == MAX_FRUITLESS)
			run_failed(v, EFAULT);
		break;
	}
}

static void *vcpu_thread(void *ctx)
{
	struct vcpu *v = ctx;

	if (v->setup.entered)
		v->setup.entered(v->setup.ctx);
	while (!atomic_load_explicit(&v->leave, memory_order_relaxed)) {
		if (ioctl(v->fd, KVM_RUN, 0) == 0) {
			v->fruitless = 0;
			dispatch(v);
		} else if (errno == EINTR) {
			interrupted(v);
		} else if (errno == EFAULT) {
			faulted(v);
		} else if (errno != EAGAIN) {
			run_failed(v, errno);
		}
	}
	pthread_mutex_lock(&v->lock);
	v->gone = true;
	tell_paused(v);
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

static void kicked(int signo)
{
	(void)signo;
}

int vcpu_start(struct vcpu *v, struct error *err)
{
	struct sigaction action = { .sa_handler = kicked };
	sigset_t all, before;
	pthread_attr_t attributes;
	char name[16];
	int rc;

	sigaction(KICK_SIGNAL, &action, NULL);
	/* Every other signal belongs to the main thread. */
	sigfillset(&all);
	sigdelset(&all, KICK_SIGNAL);
	sigdelset(&all, SIGBUS); /* page-guard.h */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 * 1024);
	rc = pthread_create(&v->thread, &attributes, vcpu_thread, v);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return error_set(err, rc, "cannot start the thread of vCPU %u: %s", v->setup.index, strerror(rc));
	v->started = true;
	snprintf(name, sizeof name, "vcpu%u", v->setup.index);
	pthread_setname_np(v->thread, name);
	return 0;
}

/* Under the lock. */
static void take_out(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(v->thread, KICK_SIGNAL);
}

void vcpu_kick(struct vcpu *v)
{
	if (!v->started)
		return;
	pthread_mutex_lock(&v->lock);
	atomic_store(&v->leave, true);
	take_out(v);
	pthread_cond_broadcast(&v->go_on);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_pause(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->pause = true;
	v->told = false;
	if (v->started && !v->gone)
		take_out(v);
	else
		tell_paused(v);
	pthread_mutex_unlock(&v->lock);
}

void vcpu_resume(struct vcpu *v)
{
	pthread_mutex_lock(&v->lock);
	v->pause = false;
	pthread_cond_broadcast(&v->go_on);
	pthread_mutex_unlock(&v->lock);
}

uint64_t vcpu_exits(const struct vcpu *v, enum vcpu_exit kind)
{
	return atomic_load_explicit(&v->exits[kind], memory_order_relaxed);
}

void vcpu_join(struct vcpu *v)
{
	if (!v->started)
		return;
	pthread_join(v->thread, NULL);
	v->started = false;
}

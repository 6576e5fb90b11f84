/* SPDX-License-Identifier: MIT */
/*
 * machine.c - see machine.h. Called by core/vm; owns the KVM file descriptors and every part of
 * the machine.
 *
 * Guest physical addresses: RAM from 0 to 3 GiB, 32-bit BARs, the ECAM, KVM's own pages, IOAPIC
 * and local APICs up to 4 GiB, RAM above, then a window for 64-bit BARs that ends at the
 * guest's MAXPHYADDR.
 */
#include "core/machine/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/machine/acpi.h"
#include "core/machine/cpuid.h"
#include "core/machine/kvm.h"
#include "core/machine/power.h"
#include "core/machine/serial.h"
#include "core/machine/vcpu.h"

/* Intel needs three pages for the real-mode task segment and one for the identity map. */
#define KVM_IDENTITY_MAP 0xfffbc000ull
#define KVM_TSS 0xfffbd000ull

#define MAX_SLOTS MEMORY_MAX_WINDOWS
#define GIB (1ull << 30)
/* Below the range that AMD's HyperTransport keeps for itself. */
#define WINDOW64_LIMIT 0xfd00000000ull
#define WINDOW64_MAX_SIZE (512 * GIB)

struct slot {
	uint64_t gpa, size;
	void *host;
	bool readonly;
	int window; /* of memory; negative: no device's buffers lie there */
};

struct machine {
	struct machine_setup setup;
	int kvm_fd, vm_fd;
	struct kvm_cpuid2 *cpuid;
	struct memory *memory;
	struct bus *ports, *mmio;
	struct irq_router *irq;
	struct pci_bus *pci;
	struct power *power;
	struct serial *serial;
	struct vcpu **vcpus; /* setup.cpus of them, once committed */
	struct slot slots[MAX_SLOTS];
	unsigned n_slots;
	pthread_mutex_t slot_lock;
	bool committed;
	atomic_bool ended;
	bool pausing;         /* or paused */
	atomic_uint to_pause; /* vCPUs that do not stand still yet */
};

static void machine_ended(void *ctx, enum machine_end end, const char *text)
{
	struct machine *m = ctx;

	if (atomic_exchange(&m->ended, true))
		return;
	if (end == MACHINE_RESET && power_panicked(m->power))
		end = MACHINE_PANICKED;
	m->setup.ended(m->setup.ctx, end, text);
}

static void boot_vcpu_entered(void *ctx)
{
	const struct machine *m = ctx;

	m->setup.entered(m->setup.ctx);
}

static void vcpu_paused(void *ctx)
{
	struct machine *m = ctx;

	if (atomic_fetch_sub(&m->to_pause, 1) == 1)
		m->setup.paused(m->setup.ctx);
}

#ifdef KVM_EXIT_MEMORY_FAULT
/* The pages of [gpa, gpa+size), where they are a slot's; else no pages. */
static size_t mend_slot(struct machine *m, uint64_t gpa, uint64_t size)
{
	size_t mended = 0;

	pthread_mutex_lock(&m->slot_lock);
	for (unsigned i = 0; i < m->n_slots; i++) {
		const struct slot *slot = &m->slots[i];
		uint64_t offset = gpa - slot->gpa;

		if (slot->gpa && offset < slot->size && size <= slot->size - offset)
			mended += page_guard_mend((char *)slot->host + offset, (size_t)size, true);
	}
	pthread_mutex_unlock(&m->slot_lock);
	return mended;
}
#endif

/* On a vCPU's thread. What is guarded are the windows of devices, which are slots of ours. */
static enum page_guard_found vcpu_fault(void *ctx, const struct kvm_run *run, struct page_guard_search *search)
{
#ifdef KVM_EXIT_MEMORY_FAULT
	/* KVM_CAP_MEMORY_FAULT_INFO (Linux 6.8), which not every kind of fault has. */
	if (run->exit_reason == KVM_EXIT_MEMORY_FAULT && mend_slot(ctx, run->memory_fault.gpa, run->memory_fault.size))
		return PAGE_GUARD_FOUND;
#else
	(void)ctx, (void)run;
#endif
	return page_guard_search(search);
}

/* Where 64-bit BARs go: above RAM, below what the guest can address. */
static void window64(const struct machine *m, uint64_t *start, uint64_t *size)
{
	const struct memory_range *last = &m->memory->ranges[m->memory->n_ranges - 1];
	unsigned bits = cpuid_physical_bits(m->cpuid);
	uint64_t limit = bits >= 48 ? 1ull << 48 : 1ull << bits;
	uint64_t ram_end = last->start + last->size;

	/* A terabyte is enough for any window; where RAM is larger, the window follows it. */
	if (limit > WINDOW64_LIMIT && ram_end < WINDOW64_LIMIT / 2)
		limit = WINDOW64_LIMIT;
	*start = (ram_end < MEMORY_HOLE_END ? MEMORY_HOLE_END : ram_end) + GIB - 1;
	*start -= *start % GIB;
	*size = limit > *start ? limit - *start : 0;
	if (*size > WINDOW64_MAX_SIZE)
		*size = WINDOW64_MAX_SIZE;
}

static int create_buses(struct machine *m, struct error *err)
{
	uint64_t start, size;
	int rc;

	window64(m, &start, &size);
	if (size < GIB)
		return error_set(err, E2BIG, "it leaves no room for devices below the %u address bits of this host; write less",
		                 cpuid_physical_bits(m->cpuid));
	rc = bus_create(&m->ports);
	if (!rc)
		rc = bus_create(&m->mmio);
	if (rc)
		return error_set(err, -rc, "no memory for the machine's buses");
	rc = irq_router_create(m->vm_fd, &m->irq, err);
	if (!rc)
		rc = pci_bus_create(m->ports, m->mmio, start, size, &m->pci, err);
	if (rc)
		return rc;
	rc = bus_add(m->mmio, PCI_ECAM_START, PCI_ECAM_SIZE, &pci_ecam_handler, m->pci);
	if (!rc)
		rc = machine_slot_add(m, PCI_ECAM_START, PCI_ECAM_SIZE, pci_bus_ecam(m->pci), true, NULL);
	if (rc)
		return error_set(err, -rc, "cannot place PCI configuration space: %s", strerror(-rc));
	return power_create(m->ports, m->pci, m->irq, machine_ended, m, &m->power, err);
}

static int create_serial(struct machine *m, struct error *err)
{
	int irq_fd, rc;

	rc = irq_line(m->irq, SERIAL_IRQ_PIN, &irq_fd, err);
	if (rc)
		return rc;
	rc = serial_create(m->ports, irq_fd, STDERR_FILENO, &m->serial);
	return rc ? error_set(err, -rc, "cannot place the serial port: %s", strerror(-rc)) : 0;
}

int machine_create(const struct machine_setup *setup, struct machine **out, struct error *err)
{
	struct machine *m = calloc(1, sizeof *m);
	int rc;

	if (!m)
		return error_set(err, ENOMEM, "no memory for the machine");
	m->setup = *setup;
	m->kvm_fd = m->vm_fd = -1;
	pthread_mutex_init(&m->slot_lock, NULL);
	rc = kvm_open(&m->kvm_fd, err);
	if (rc)
		goto fail;
	m->vm_fd = ioctl(m->kvm_fd, KVM_CREATE_VM, 0);
	if (m->vm_fd < 0) {
		rc = error_set(err, errno, "KVM makes no virtual machine: %s", strerror(errno));
		goto fail;
	}
	rc = cpuid_supported(m->kvm_fd, &m->cpuid, err);
	if (!rc)
		rc = memory_create(setup->memory, setup->memory_shared, &m->memory, err);
	if (!rc)
		rc = create_buses(m, err);
	if (!rc && setup->serial)
		rc = create_serial(m, err);
	if (rc)
		goto fail;
	*out = m;
	return 0;

fail:
	machine_destroy(m);
	return rc;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	machine_stop(m);
	for (unsigned i = 0; m->vcpus && i < m->setup.cpus; i++)
		vcpu_destroy(m->vcpus[i]);
	free(m->vcpus);
	serial_destroy(m->serial);
	power_destroy(m->power);
	pci_bus_destroy(m->pci);
	irq_router_destroy(m->irq);
	bus_destroy(m->mmio);
	bus_destroy(m->ports);
	if (m->vm_fd >= 0)
		close(m->vm_fd);
	memory_destroy(m->memory);
	free(m->cpuid);
	if (m->kvm_fd >= 0)
		close(m->kvm_fd);
	pthread_mutex_destroy(&m->slot_lock);
	free(m);
}

struct memory *machine_memory(struct machine *m)
{
	return m->memory;
}

struct pci_bus *machine_pci(struct machine *m)
{
	return m->pci;
}

struct irq_router *machine_irq(struct machine *m)
{
	return m->irq;
}

/* Slots 0.. are RAM, then those of m->slots. */
static int set_slot(struct machine *m, unsigned number, const struct slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = number,
		.flags = slot->readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uint64_t)(uintptr_t)slot->host,
	};

	return ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

int machine_slot_add(struct machine *m, uint64_t gpa, uint64_t size, void *host, bool readonly, unsigned *slot)
{
	if (m->committed)
		return -EBUSY;
	if (m->n_slots == MAX_SLOTS)
		return -ENOSPC;
	m->slots[m->n_slots] = (struct slot){ .gpa = gpa, .size = size, .host = host, .readonly = readonly, .window = -1 };
	if (!readonly)
		m->slots[m->n_slots].window = memory_window_add(m->memory, gpa, size, host);
	if (slot)
		*slot = m->n_slots;
	m->n_slots++;
	return 0;
}

static int slot_move_locked(struct machine *m, struct slot *slot, uint64_t gpa)
{
	unsigned number = m->memory->n_ranges + (unsigned)(slot - m->slots);
	struct slot gone = { .gpa = slot->gpa }, moved = *slot;
	int rc = 0;

	if (!m->committed) {
		slot->gpa = gpa;
		return 0;
	}
	if (slot->gpa == gpa)
		return 0;
	if (slot->gpa)
		rc = set_slot(m, number, &gone);
	slot->gpa = 0;
	if (rc || !gpa)
		return rc;
	moved.gpa = gpa;
	rc = set_slot(m, number, &moved);
	if (!rc)
		slot->gpa = gpa;
	return rc;
}

int machine_slot_move(struct machine *m, unsigned slot, uint64_t gpa)
{
	int rc;

	pthread_mutex_lock(&m->slot_lock);
	rc = slot_move_locked(m, &m->slots[slot], gpa);
	if (m->slots[slot].window >= 0)
		memory_window_move(m->memory, (unsigned)m->slots[slot].window, m->slots[slot].gpa);
	pthread_mutex_unlock(&m->slot_lock);
	return rc;
}

int machine_ioeventfd(struct machine *m, uint64_t address, bool is_port, int fd, bool add)
{
	struct kvm_ioeventfd event = {
		.addr = address,
		.fd = fd,
		.flags = (is_port ? KVM_IOEVENTFD_FLAG_PIO : 0) | (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(m->vm_fd, KVM_IOEVENTFD, &event) ? -errno : 0;
}

bool machine_notify_by_port(const struct machine *m)
{
	return cpuid_vendor_is_amd(m->cpuid);
}

uint64_t machine_acpi(struct machine *m)
{
	struct acpi_setup setup = {
		.cpus = m->setup.cpus,
		.window64_start = pci_bus_window64_start(m->pci),
		.window64_size = pci_bus_window64_size(m->pci),
		.serial = m->setup.serial,
	};

	acpi_write(&setup, memory_at(m->memory, ACPI_START, ACPI_SIZE), ACPI_SIZE);
	return ACPI_START;
}

static int commit_slots(struct machine *m, struct error *err)
{
	unsigned number = 0;
	int rc = 0;

	for (unsigned i = 0; !rc && i < m->memory->n_ranges; i++) {
		const struct memory_range *range = &m->memory->ranges[i];
		struct slot slot = { .gpa = range->start, .size = range->size, .host = range->host };

		rc = set_slot(m, number++, &slot);
	}
	for (unsigned i = 0; !rc && i < m->n_slots; i++, number++)
		if (m->slots[i].gpa)
			rc = set_slot(m, number, &m->slots[i]);
	return rc ? error_set(err, -rc, "KVM refuses the guest's memory: %s", strerror(-rc)) : 0;
}

static int commit_irqchip(struct machine *m, struct error *err)
{
	uint64_t identity_map = KVM_IDENTITY_MAP;

	if (ioctl(m->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) || ioctl(m->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS))
		return error_set(err, errno, "KVM refuses its own pages in the guest: %s", strerror(errno));
	if (ioctl(m->vm_fd, KVM_CREATE_IRQCHIP, 0))
		return error_set(err, errno, "KVM makes no interrupt controllers: %s", strerror(errno));
	return 0;
}

int machine_commit(struct machine *m, const struct boot_entry *entry, struct error *err)
{
	int rc = commit_slots(m, err);

	if (!rc)
		rc = commit_irqchip(m, err);
	if (rc)
		return rc;
	m->vcpus = calloc(m->setup.cpus, sizeof *m->vcpus);
	if (!m->vcpus)
		return error_set(err, ENOMEM, "no memory for %u vCPUs", m->setup.cpus);
	for (unsigned i = 0; i < m->setup.cpus; i++) {
		struct vcpu_setup setup = {
			.index = i,
			.cpus = m->setup.cpus,
			.kvm_fd = m->kvm_fd,
			.vm_fd = m->vm_fd,
			.cpuid = m->cpuid,
			.ports = m->ports,
			.mmio = m->mmio,
			.memory = m->memory,
			.ended = machine_ended,
			.entered = i == 0 && m->setup.entered ? boot_vcpu_entered : NULL,
			.paused = vcpu_paused,
			.fault = vcpu_fault,
			.ctx = m,
		};

		rc = vcpu_create(&setup, &m->vcpus[i], err);
		if (rc)
			return rc;
	}
	rc = irq_commit(m->irq);
	if (rc)
		return error_set(err, -rc, "KVM refuses the interrupt routes: %s", strerror(-rc));
	m->committed = true;
	return vcpu_set_entry(m->vcpus[0], entry, err);
}

int machine_start(struct machine *m, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < m->setup.cpus; i++)
		rc = vcpu_start(m->vcpus[i], err);
	if (rc)
		machine_stop(m);
	return rc;
}

void machine_stop(struct machine *m)
{
	if (!m->vcpus)
		return;
	for (unsigned i = 0; i < m->setup.cpus; i++)
		if (m->vcpus[i])
			vcpu_kick(m->vcpus[i]);
	for (unsigned i = 0; i < m->setup.cpus; i++)
		if (m->vcpus[i])
			vcpu_join(m->vcpus[i]);
}

void machine_pause(struct machine *m)
{
	m->pausing = true;
	atomic_store(&m->to_pause, m->setup.cpus);
	for (unsigned i = 0; i < m->setup.cpus; i++)
		vcpu_pause(m->vcpus[i]);
}

bool machine_is_paused(const struct machine *m)
{
	return m->pausing && atomic_load(&m->to_pause) == 0;
}

void machine_resume(struct machine *m)
{
	m->pausing = false;
	for (unsigned i = 0; i < m->setup.cpus; i++)
		vcpu_resume(m->vcpus[i]);
}

void machine_exits(const struct machine *m, struct machine_exits *out)
{
	*out = (struct machine_exits){ 0 };
	for (unsigned i = 0; i < m->setup.cpus; i++) {
		out->io += vcpu_exits(m->vcpus[i], VCPU_EXIT_IO);
		out->mmio += vcpu_exits(m->vcpus[i], VCPU_EXIT_MMIO);
		out->signal += vcpu_exits(m->vcpus[i], VCPU_EXIT_SIGNAL);
		out->other += vcpu_exits(m->vcpus[i], VCPU_EXIT_OTHER);
	}
}

void machine_press_power_button(struct machine *m)
{
	power_press_button(m->power);
}

int machine_max_cpus(struct error *err)
{
	enum { MADT_LIMIT = 254 }; /* local APIC entries hold eight bits, 255 is broadcast */
	int fd, n, rc = kvm_open(&fd, err);

	if (rc)
		return rc;
	n = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	close(fd);
	return n > MADT_LIMIT ? MADT_LIMIT : n;
}

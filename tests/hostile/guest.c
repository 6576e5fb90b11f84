/* SPDX-License-Identifier: MIT */
/* guest.c - see guest.h: what the hostile guest does, from its entry to its end. */
#include <asm/bootparam.h>
#include <linux/serial_reg.h>
#include <linux/virtio_console.h>
#include <misc/pvpanic.h>

#include "core/machine/acpi.h"
#include "core/machine/power.h"
#include "core/machine/pvpanic.h"
#include "core/machine/serial.h"
#include "tests/hostile/guest.h"

#define GARBAGE_STEPS 2500u
#define NMI_VECTOR 2
#define MSI_DELIVERY_MODE 0x700u

uint8_t scratch[SCRATCH_SIZE] __attribute__((aligned(4096)));

static bool failed;

/* ---- words ---- */

void say(const char *text)
{
	for (; *text; text++)
		port_write(SERIAL_PORT + UART_TX, 1, (uint8_t)*text);
}

void check(bool good, const char *who, const char *what)
{
	say(good ? "hostile: ok " : "hostile: not ok ");
	say(who);
	say(": ");
	say(what);
	say("\n");
	failed |= !good;
}

/* The compiler may call these. */
void *memset(void *to, int value, size_t len);
void *memcpy(void *to, const void *from, size_t len);

void *memset(void *to, int value, size_t len)
{
	volatile uint8_t *bytes = to;

	while (len--)
		*bytes++ = (uint8_t)value;
	return to;
}

void *memcpy(void *to, const void *from, size_t len)
{
	const uint8_t *source = from;
	volatile uint8_t *bytes = to;

	while (len--)
		*bytes++ = *source++;
	return to;
}

/* xorshift64*: the same in each run. */
uint64_t chaos(void)
{
	static uint64_t state = 20261124;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

uint64_t below(uint64_t limit)
{
	return chaos() % limit;
}

/* ---- addresses that nobody answers at ---- */

static void unmapped_memory(void)
{
	static const uint64_t holes[] = { RAM_LIMIT, 0x7ffffff8, PCI_WINDOW32_START, PCI_ECAM_START + PCI_ECAM_SIZE,
		                          PCI_ECAM_START + (31u << 15), 0xfed00000, 0xfffffff8 };
	bool ones = true;

	for (unsigned i = 0; i < sizeof holes / sizeof holes[0]; i++)
		for (unsigned len = 1; len <= 8; len *= 2) {
			memory_write(holes[i], len, chaos());
			memory_read(holes[i], len);
			/* Across the end of the ECAM's slot, too. */
			memory_write(PCI_ECAM_START + PCI_ECAM_SIZE - len / 2, len, chaos());
		}
	for (unsigned len = 1; len <= 4; len *= 2)
		ones &= memory_read(RAM_LIMIT, len) == 0xffffffffu >> (32 - 8 * len);
	check(ones, "memory", "nobody's address reads as all ones");
}

static bool port_is_for_the_end(unsigned port, unsigned len)
{
	for (unsigned i = port; i < port + len; i++)
		if (i == KEYBOARD_PORT || (i >= ACPI_SLEEP_PORT && i < ACPI_SLEEP_PORT + 2) ||
		    (i >= SERIAL_PORT && i < SERIAL_PORT + SERIAL_PORTS))
			return true;
	return false;
}

static void unmapped_ports(void)
{
	const void *from = scratch;
	void *to = scratch;
	uint64_t count = 5000;
	unsigned port = 0x500;

	for (unsigned step = 0; step < 2000; step++) {
		unsigned at = (unsigned)below(0x10000), len = 1u << below(3);

		port_read(at, len);
		if (!port_is_for_the_end(at, len))
			port_write(at, len, (uint32_t)chaos());
	}
	/* Strings: KVM hands over many at a time. */
	__asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
	count = 5000;
	__asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
	check(scratch[0] == 0xff && port_read(0x501, 1) == 0xff, "ports", "nobody's port reads as all ones");
}

/* ---- a virtio device ---- */

/* Beyond RAM, or where the device may write. */
static uint64_t bad_address(void)
{
	static const uint64_t values[] = {
		RAM_LIMIT,      MEMORY_HOLE_START, MEMORY_HOLE_END,       PCI_ECAM_START,
		1ull << 63,     UINT64_MAX,        UINT64_MAX - 7,        UINT64_MAX - 4095,
		0xfee00000ull, 0x4000000000ull,   PCI_WINDOW32_START + 8, UINT32_MAX,
	};

	return values[below(sizeof values / sizeof values[0])];
}

/* Whatever width it is written with, it makes no address within RAM. */
static uint64_t bad_value(void)
{
	return (chaos() >> below(64)) | 0x8000000080000000;
}

static void describe(struct device *d, uint16_t at, uint64_t address, uint32_t len, uint16_t flags, uint16_t next)
{
	d->desc[at] = (struct vring_desc){ .addr = address, .len = len, .flags = flags, .next = next };
}

static void out_of_memory(struct device *d)
{
	describe(d, 0, RAM_LIMIT, 8, 0, 0);
}

static void wraps(struct device *d)
{
	describe(d, 0, UINT64_MAX - 7, 4096, 0, 0);
}

static void loops(struct device *d)
{
	describe(d, 0, (uintptr_t)scratch, 1, VRING_DESC_F_NEXT, 1);
	describe(d, 1, (uintptr_t)scratch, 1, VRING_DESC_F_NEXT, 0);
}

static void leaves_the_table(struct device *d)
{
	describe(d, 0, (uintptr_t)scratch, 1, VRING_DESC_F_NEXT, 0xffff);
}

static void huge(struct device *d)
{
	describe(d, 0, (uintptr_t)scratch, UINT32_MAX, 0, 0);
}

static void reads_behind_writes(struct device *d)
{
	describe(d, 0, (uintptr_t)scratch, 1, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	describe(d, 1, (uintptr_t)scratch, 1, 0, 0);
}

static void nests(struct device *d)
{
	describe(d, 0, (uintptr_t)&d->desc[1], sizeof d->desc[0], VRING_DESC_F_INDIRECT, 0);
	describe(d, 1, (uintptr_t)&d->desc[0], sizeof d->desc[0], VRING_DESC_F_INDIRECT, 0);
}

static void odd_table(struct device *d)
{
	describe(d, 0, (uintptr_t)scratch, 17, VRING_DESC_F_INDIRECT, 0);
}

static void jumps(struct device *d)
{
	d->avail->idx = 0x4000;
}

static void break_rings(struct device *d, uint16_t queue)
{
	static void (*const ways[])(struct device *d) = { out_of_memory, wraps,  loops, leaves_the_table, huge,
		                                          reads_behind_writes, nests, odd_table, jumps };

	/* Twice: the second time must not be told again. */
	for (unsigned i = 0; i < 2 * (sizeof ways / sizeof ways[0]); i++) {
		device_start(d, queue);
		ways[i / 2](d);
		device_offer(d, 0);
		device_wait_for_status(d, VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	check(true, d->name, "each broken ring needs a reset");
}

static void misplace_queue(struct device *d)
{
	device_reset(d);
	device_start(d, 0);
	device_reset(d);
	device_set(d, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	device_set(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	device_set(d, VIRTIO_PCI_COMMON_GF, 4, 1u << (VIRTIO_F_VERSION_1 - 32));
	device_set(d, VIRTIO_PCI_COMMON_STATUS, 1,
	           VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned size = 0; size < 0x10000; size = size * 3 + 1)
		device_set(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
	device_set(d, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 1u << 31);
	device_set(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	device_set(d, VIRTIO_PCI_COMMON_STATUS, 1,
	           VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
	                   VIRTIO_CONFIG_S_DRIVER_OK);
	device_wait_for_status(d, VIRTIO_CONFIG_S_NEEDS_RESET);
	check(true, d->name, "a queue outside of memory needs a reset");
}

/* ---- garbage ---- */

static void garbage_to_config(struct device *d)
{
	memory_write(config_at(d->slot, (unsigned)below(below(4) ? 0x100 : 0x1000)), 1u << below(4), bad_value());
}

static void garbage_to_registers(struct device *d)
{
	uint64_t at = d->bars[0] + below(below(2) ? 0x40 : 0x8000);

	memory_write(at, 1u << below(4), bad_value());
	memory_read(at, 1u << below(4));
}

/* An interrupt that is delivered as INIT or SMI would end this guest, which wants to go on. */
static void garbage_to_msix(struct device *d)
{
	uint64_t table = d->bars[0] + (memory_read(config_at(d->slot, d->msix + PCI_MSIX_TABLE), 4) &
	                               (uint64_t)PCI_MSIX_TABLE_OFFSET);
	uint64_t entry = table + below(130) * PCI_MSIX_ENTRY_SIZE;

	memory_write(entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, below(2) ? 0xfee00000 : bad_value());
	memory_write(entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, below(2) ? 0 : bad_value());
	memory_write(entry + PCI_MSIX_ENTRY_DATA, 4, bad_value() & ~(uint64_t)MSI_DELIVERY_MODE);
	memory_write(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, below(3));
	memory_write(config_at(d->slot, d->msix + PCI_MSIX_FLAGS), 2, chaos());
}

static void garbage_to_ring(struct device *d)
{
	uint64_t address = below(2) ? (uintptr_t)scratch + below(4096) : bad_address();

	describe(d, (uint16_t)below(RING_SIZE), address, (uint32_t)(below(4) ? below(256) : bad_value()),
	         (uint16_t)(below(4) ? below(8) : chaos()), (uint16_t)(below(4) ? below(RING_SIZE) : chaos()));
	device_offer(d, (uint16_t)(below(8) ? below(RING_SIZE) : chaos()));
	if (below(32) == 0)
		d->avail->idx = (uint16_t)chaos();
}

/*
 * BARs that are switched off and on at another place each time, over RAM, each other, ECAM and interrupt controllers.
 */
static void bars_on_the_move(struct device *d)
{
	memory_write(config_at(d->slot, PCI_BASE_ADDRESS_0 + 4 * (unsigned)below(PCI_MAX_BARS)), 4,
	             below(2) ? bad_address() : chaos());
	memory_write(config_at(d->slot, PCI_COMMAND), 2, chaos());
}

static void garbage(struct device *d, uint16_t queue)
{
	static void (*const kinds[])(struct device *d) = { garbage_to_config, garbage_to_registers, garbage_to_msix,
		                                           garbage_to_ring, bars_on_the_move };

	for (unsigned step = 0; step < GARBAGE_STEPS; step++) {
		if (step % 100 == 0) {
			device_place(d);
			device_start(d, queue);
		}
		kinds[below(sizeof kinds / sizeof kinds[0])](d);
	}
	device_place(d);
	check(true, d->name, "lives with garbage");
}

/* ---- what works all the same ---- */

static void rng_works(struct device *d)
{
	unsigned zeros = 0;

	device_start(d, 0);
	memset(scratch, 0, 4096);
	describe(d, 0, (uintptr_t)scratch, 4096, VRING_DESC_F_WRITE, 0);
	device_offer(d, 0);
	device_wait_for_used(d);
	for (unsigned i = 0; i < 4096; i++)
		zeros += scratch[i] == 0;
	check(zeros < 256, d->name, "works after a reset");
}

#define CONSOLE_TRANSMIT 1u

static void console_works(struct device *d)
{
	static const char text[] = "hostile: ok the console speaks\n";

	device_start(d, CONSOLE_TRANSMIT);
	describe(d, 0, (uintptr_t)text, sizeof text - 1, 0, 0);
	device_offer(d, 0);
	device_wait_for_used(d);
	check(true, d->name, "works after a reset");
}

/* ---- beginning and end ---- */

struct gate {
	uint16_t offset_low, selector;
	uint8_t stack, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

/* Garbage in an MSI-X table may come out as an NMI; whatever else comes is a triple fault, and the test says so. */
__attribute__((naked)) static void on_nmi(void)
{
	__asm__("iretq");
}

static void take_interrupts(void)
{
	static struct gate gates[NMI_VECTOR + 1];
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = { sizeof gates - 1, (uintptr_t)gates };
	uintptr_t handler = (uintptr_t)on_nmi;
	uint16_t code;

	__asm__("mov %%cs, %0" : "=r"(code));
	gates[NMI_VECTOR] = (struct gate){ .offset_low = (uint16_t)handler,
		                           .selector = code,
		                           .type = 0x8e, /* present, interrupt gate */
		                           .offset_middle = (uint16_t)(handler >> 16),
		                           .offset_high = (uint32_t)(handler >> 32) };
	__asm__ volatile("lidt %0" : : "m"(table));
}

static void tell_panic(void)
{
	struct device d = { .slot = 0 };

	for (d.slot = 1; d.slot < PCI_MAX_FUNCTIONS; d.slot++)
		if (memory_read(config_at(d.slot, PCI_VENDOR_ID), 4) == (PVPANIC_DEVICE << 16 | PVPANIC_VENDOR)) {
			device_place(&d);
			memory_write(d.bars[0], 1, PVPANIC_PANICKED);
		}
}

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0\n\tint3" : : "m"(none));
}

/* Keeps the device and capsa's loop as busy as it can: requests, notifications in vain, resets. */
__attribute__((noreturn)) static void storm(void)
{
	static struct device rng;

	device_find(&rng, VIRTIO_ID_RNG, "rng");
	say("hostile: storms\n");
	for (;;) {
		device_start(&rng, 0);
		for (uint16_t i = 0; i < 500; i++) {
			describe(&rng, i % RING_SIZE, (uintptr_t)scratch, 4096, VRING_DESC_F_WRITE, 0);
			device_offer(&rng, i % RING_SIZE);
			if (i % RING_SIZE == RING_SIZE - 1)
				device_wait_for_used(&rng);
		}
	}
}

static bool told(const char *line, const char *word)
{
	for (; *line; line++) {
		const char *a = line, *b = word;

		while (*b && *a == *b)
			a++, b++;
		if (!*b)
			return true;
	}
	return false;
}

__attribute__((noreturn)) static void end(const char *line)
{
	if (failed || told(line, "end=panic"))
		tell_panic();
	else if (told(line, "end=reset"))
		port_write(KEYBOARD_PORT, 1, KEYBOARD_RESET);
	else if (told(line, "end=storm"))
		storm();
	else if (told(line, "end=nowhere"))
		((void (*)(void))(uintptr_t)RAM_LIMIT)();
	else if (told(line, "end=poweroff"))
		port_write(ACPI_SLEEP_PORT, 1, ACPI_SLEEP_ENABLE | ACPI_SLEEP_TYPE_S5 << 2);
	triple_fault();
	for (;;)
		;
}

static void devices(bool brief)
{
	static struct device rng, console;

	if (!device_find(&rng, VIRTIO_ID_RNG, "rng") || !device_find(&console, VIRTIO_ID_CONSOLE, "console")) {
		check(false, "machine", "has an rng and a console");
		return;
	}
	rng_works(&rng);
	console_works(&console);
	if (brief)
		return;
	break_rings(&rng, 0);
	misplace_queue(&rng);
	break_rings(&console, CONSOLE_TRANSMIT);
	misplace_queue(&console);
	rng_works(&rng);
	console_works(&console);
	garbage(&rng, 0);
	garbage(&console, CONSOLE_TRANSMIT);
	device_place(&rng); /* one's garbage may have gone to the other */
	rng_works(&rng);
	console_works(&console);
}

__attribute__((noreturn, used)) static void run(const struct boot_params *params)
{
	const char *line = (const char *)(uintptr_t)params->hdr.cmd_line_ptr;

	say("hostile: begins\n");
	take_interrupts();
	if (told(line, "window")) {
		window_faults();
	} else {
		unmapped_memory();
		unmapped_ports();
		devices(told(line, "brief"));
	}
	say("hostile: ends\n");
	end(line);
}

/* RSI: the zero page (boot.rst, 64-bit boot protocol). */
__asm__(".section .text.entry, \"ax\", @progbits\n"
        ".globl _start\n"
        "_start:\n"
        "	movq %rsi, %rdi\n"
        "	andq $-16, %rsp\n"
        "	call run\n"
        ".text\n");

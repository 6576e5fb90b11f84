/* SPDX-License-Identifier: MIT */
/* virtio_driver.c - see virtio_driver.h. */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "tests/unit/virtio_driver.h"

#define FAKE_VM 1000000
#define MSI_ADDRESS 0xfee00000u
#define WINDOW64_START 0x4000000000ull
#define WINDOW64_SIZE 0x4000000000ull
#define SETTLE_TURNS 8u
#define RESET_TURNS 1000000u

/* ---- what KVM knows about interrupts: eventfds by GSI, and its routes ---- */

static struct {
	int fds[IRQ_PINS + IRQ_MAX_MSI]; /* attached; 0: none */
	struct kvm_irq_routing_entry routes[IRQ_PINS + IRQ_MAX_MSI];
	unsigned n_routes;
} kvm;

int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_ioctl(int fd, unsigned long request, void *argument);

static int kvm_irqfd(const struct kvm_irqfd *irqfd)
{
	assert_true(irqfd->gsi < IRQ_PINS + IRQ_MAX_MSI);
	if (irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN) {
		assert_int_equal(kvm.fds[irqfd->gsi], irqfd->fd);
		kvm.fds[irqfd->gsi] = 0;
	} else {
		assert_int_equal(kvm.fds[irqfd->gsi], 0);
		kvm.fds[irqfd->gsi] = (int)irqfd->fd;
	}
	return 0;
}

/* As kvm_set_irq_routing(), which refuses the whole table for one bad entry. */
static int kvm_routes(const struct kvm_irq_routing *table)
{
	if (table->nr > IRQ_PINS + IRQ_MAX_MSI)
		goto invalid;
	for (unsigned i = 0; i < table->nr; i++)
		if (table->entries[i].type == KVM_IRQ_ROUTING_MSI && (table->entries[i].u.msi.address_hi & 0xff))
			goto invalid;
	kvm.n_routes = table->nr;
	memcpy(kvm.routes, table->entries, table->nr * sizeof table->entries[0]);
	return 0;
invalid:
	errno = EINVAL;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	if (fd != FAKE_VM)
		return __real_ioctl(fd, request, argument);
	switch (request) {
	case KVM_SET_GSI_ROUTING:
		return kvm_routes(argument);
	case KVM_IRQFD:
		return kvm_irqfd(argument);
	default:
		fail_msg("an ioctl that KVM does not know: 0x%lx", request);
		return -1;
	}
}

/* ---- the log: kept, not shown ---- */

static struct {
	pthread_mutex_t lock;
	char lines[BOARD_LOG_LINES][256];
	unsigned n;
} written = { .lock = PTHREAD_MUTEX_INITIALIZER };

void __wrap_log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	pthread_mutex_lock(&written.lock);
	va_start(args, fmt);
	if (written.n < BOARD_LOG_LINES)
		vsnprintf(written.lines[written.n], sizeof written.lines[0], fmt, args);
	va_end(args);
	written.n++;
	pthread_mutex_unlock(&written.lock);
}

unsigned board_log_lines(void)
{
	return written.n;
}

const char *board_log_line(unsigned i)
{
	assert_true(i < written.n && i < BOARD_LOG_LINES);
	return written.lines[i];
}

void board_log_forget(void)
{
	written.n = 0;
}

/* ---- the board ---- */

static int board_ioeventfd(void *ctx, uint64_t address, bool is_port, int fd, bool add)
{
	struct board *board = ctx;
	unsigned i;

	for (i = 0; i < board->n_notifies; i++)
		if (board->notifies[i].address == address && board->notifies[i].is_port == is_port)
			break;
	if (!add) {
		if (i == board->n_notifies)
			return -ENOENT;
		board->notifies[i] = board->notifies[--board->n_notifies];
		return 0;
	}
	if (i < board->n_notifies)
		return -EEXIST;
	if (board->refuses_notifies || board->n_notifies == BOARD_NOTIFIES)
		return -ENOSPC;
	board->notifies[board->n_notifies++] =
		(struct board_notify){ .address = address, .is_port = is_port, .fd = fd };
	return 0;
}

static int board_slot_add(void *ctx, uint64_t gpa, uint64_t size, void *host, unsigned *slot)
{
	struct board *board = ctx;

	(void)host;
	if (board->n_slots == BOARD_SLOTS)
		return -ENOSPC;
	*slot = board->n_slots++;
	board->slots[*slot] = (struct board_slot){ .gpa = gpa, .size = size };
	return 0;
}

/* As KVM: no slot overlaps another. One that cannot go where it should is nowhere. */
static int board_slot_move(void *ctx, unsigned slot, uint64_t gpa)
{
	struct board *board = ctx;
	struct board_slot *moved = &board->slots[slot];
	bool taken = board->refuses_slots;

	assert_true(slot < board->n_slots);
	moved->gpa = 0;
	for (unsigned i = 0; i < board->n_slots; i++)
		taken |= board->slots[i].gpa && gpa < board->slots[i].gpa + board->slots[i].size &&
		         board->slots[i].gpa < gpa + moved->size;
	if (gpa && taken) {
		board->refused_slot_moves++;
		return -EEXIST;
	}
	moved->gpa = gpa;
	return 0;
}

static void board_turn(void *ctx)
{
	struct board *board = ctx;

	if (--board->turns == 0)
		reactor_stop(board->home);
	else
		reactor_call_run(board->turn);
}

void board_create(struct board *board, uint64_t memory)
{
	struct error err = { .text = "" };

	*board = (struct board){ .next_free = 0x10000 };
	memset(&kvm, 0, sizeof kvm);
	board_log_forget();
	assert_int_equal(memory_create(memory ? memory : BOARD_MEMORY, false, &board->memory, &err), 0);
	assert_int_equal(bus_create(&board->ports), 0);
	assert_int_equal(bus_create(&board->mmio), 0);
	assert_int_equal(
		pci_bus_create(board->ports, board->mmio, WINDOW64_START, WINDOW64_SIZE, &board->pci, &err), 0);
	assert_int_equal(bus_add(board->mmio, PCI_ECAM_START, PCI_ECAM_SIZE, &pci_ecam_handler, board->pci), 0);
	assert_int_equal(irq_router_create(FAKE_VM, &board->irq, &err), 0);
	assert_int_equal(reactor_new(&board->home), 0);
	board->turn = reactor_call_add(board->home, board_turn, board);
	assert_non_null(board->turn);
	board->platform = (struct virtio_platform){
		.memory = board->memory,
		.pci = board->pci,
		.irq = board->irq,
		.ioeventfd = board_ioeventfd,
		.slot_add = board_slot_add,
		.slot_move = board_slot_move,
		.ctx = board,
	};
}

void board_destroy(struct board *board)
{
	reactor_call_remove(board->turn);
	reactor_free(board->home);
	irq_router_destroy(board->irq);
	pci_bus_destroy(board->pci);
	bus_destroy(board->mmio);
	bus_destroy(board->ports);
	memory_destroy(board->memory);
}

void board_settle(struct board *board)
{
	board->turns = SETTLE_TURNS;
	reactor_call_run(board->turn);
	reactor_run(board->home);
}

uint64_t board_alloc(struct board *board, uint64_t size, uint64_t align)
{
	uint64_t at = (board->next_free + align - 1) / align * align;

	memset(board_at(board, at, size), 0, size);
	board->next_free = at + size;
	return at;
}

void *board_at(const struct board *board, uint64_t gpa, uint64_t len)
{
	void *host = memory_at(board->memory, gpa, len);

	assert_non_null(host);
	return host;
}

/* ---- accesses ---- */

static int notify_fd(const struct board *board, uint64_t address, bool is_port)
{
	for (unsigned i = 0; i < board->n_notifies; i++)
		if (board->notifies[i].address == address && board->notifies[i].is_port == is_port)
			return board->notifies[i].fd;
	return -1;
}

static bool notified(struct board *board, uint64_t address, bool is_port)
{
	int fd = notify_fd(board, address, is_port);

	return fd >= 0 && eventfd_write(fd, 1) == 0;
}

uint64_t guest_read(struct board *board, uint64_t address, unsigned len)
{
	uint64_t value;

	bus_read(board->mmio, address, len, &value);
	return value;
}

void guest_write(struct board *board, uint64_t address, unsigned len, uint64_t value)
{
	if (!notified(board, address, false))
		bus_write(board->mmio, address, len, value);
}

uint64_t guest_in(struct board *board, unsigned port, unsigned len)
{
	uint64_t value;

	bus_read(board->ports, port, len, &value);
	return value;
}

void guest_out(struct board *board, unsigned port, unsigned len, uint64_t value)
{
	if (!notified(board, port, true))
		bus_write(board->ports, port, len, value);
}

static uint64_t config_address(unsigned slot, unsigned offset)
{
	return PCI_ECAM_START + ((uint64_t)slot << 15) + offset;
}

uint64_t guest_config_read(struct board *board, unsigned slot, unsigned offset, unsigned len)
{
	uint64_t value = 0;

	/* A memory slot serves reads: nobody is asked. */
	memcpy(&value, pci_bus_ecam(board->pci) + (config_address(slot, offset) - PCI_ECAM_START), len);
	return value;
}

void guest_config_write(struct board *board, unsigned slot, unsigned offset, unsigned len, uint64_t value)
{
	guest_write(board, config_address(slot, offset), len, value);
}

/* ---- the driver ---- */

static uint64_t config_get(const struct driver *driver, unsigned offset, unsigned len)
{
	return guest_config_read(driver->board, driver->slot, offset, len);
}

uint64_t driver_bar(const struct driver *driver, unsigned bar)
{
	unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t low = config_get(driver, at, 4);

	if (low & PCI_BASE_ADDRESS_SPACE_IO)
		return low & (uint64_t)PCI_BASE_ADDRESS_IO_MASK;
	if ((low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64)
		low |= config_get(driver, at + 4, 4) << 32;
	return low & (uint64_t)PCI_BASE_ADDRESS_MEM_MASK;
}

void driver_decode(struct driver *driver, bool on)
{
	guest_config_write(driver->board, driver->slot, PCI_COMMAND, 2,
	                   on ? PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER : 0);
}

/* The first of a kind counts (4.1.4). */
static void take_structure(struct driver *driver, struct driver_structure *structure, unsigned capability)
{
	if (structure->address)
		return;
	structure->bar = (uint8_t)config_get(driver, capability + offsetof(struct virtio_pci_cap, bar), 1);
	structure->offset = (uint32_t)config_get(driver, capability + offsetof(struct virtio_pci_cap, offset), 4);
	structure->length = (uint32_t)config_get(driver, capability + offsetof(struct virtio_pci_cap, length), 4);
	structure->address = driver_bar(driver, structure->bar) + structure->offset;
}

static void take_notify(struct driver *driver, unsigned capability)
{
	if (driver->notify.address)
		return;
	take_structure(driver, &driver->notify, capability);
	driver->notify_multiplier = (uint32_t)config_get(
		driver, capability + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier), 4);
	driver->notify_is_port = config_get(driver, PCI_BASE_ADDRESS_0 + 4u * driver->notify.bar, 4) &
	                         PCI_BASE_ADDRESS_SPACE_IO;
}

static void take_vendor(struct driver *driver, unsigned capability)
{
	switch (config_get(driver, capability + offsetof(struct virtio_pci_cap, cfg_type), 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		take_structure(driver, &driver->common, capability);
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		take_notify(driver, capability);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		take_structure(driver, &driver->isr, capability);
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		take_structure(driver, &driver->device, capability);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		driver->pci_cfg = capability;
		break;
	}
}

static uint64_t msix_place(struct driver *driver, unsigned reg)
{
	uint64_t value = config_get(driver, driver->msix + reg, 4);

	return driver_bar(driver, value & PCI_MSIX_TABLE_BIR) + (value & (uint64_t)PCI_MSIX_TABLE_OFFSET);
}

static uint32_t vector_data(const struct driver *driver, unsigned vector)
{
	return driver->slot << 8 | vector;
}

static void msix_enable(struct driver *driver)
{
	uint64_t flags = config_get(driver, driver->msix + PCI_MSIX_FLAGS, 2);

	driver->msix_table = msix_place(driver, PCI_MSIX_TABLE);
	driver->pending_bits = msix_place(driver, PCI_MSIX_PBA);
	for (unsigned v = 0; v <= (flags & PCI_MSIX_FLAGS_QSIZE); v++) {
		uint64_t entry = driver->msix_table + v * PCI_MSIX_ENTRY_SIZE;

		guest_write(driver->board, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, MSI_ADDRESS);
		guest_write(driver->board, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
		guest_write(driver->board, entry + PCI_MSIX_ENTRY_DATA, 4, vector_data(driver, v));
		guest_write(driver->board, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	}
	guest_config_write(driver->board, driver->slot, driver->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

void driver_find(struct driver *driver, struct board *board, unsigned slot)
{
	*driver = (struct driver){ .board = board, .slot = slot };
	assert_true(config_get(driver, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (unsigned at = (unsigned)config_get(driver, PCI_CAPABILITY_LIST, 1), n = 0; at;
	     at = (unsigned)config_get(driver, at + PCI_CAP_LIST_NEXT, 1)) {
		assert_true(n++ < 64 && at >= PCI_STD_HEADER_SIZEOF && at % 4 == 0);
		switch (config_get(driver, at + PCI_CAP_LIST_ID, 1)) {
		case PCI_CAP_ID_VNDR:
			take_vendor(driver, at);
			break;
		case PCI_CAP_ID_MSIX:
			driver->msix = at;
			break;
		}
	}
	assert_true(driver->common.address && driver->notify.address && driver->isr.address && driver->msix);
	driver_decode(driver, true);
	msix_enable(driver);
}

/* One or more routes may lead to the vector; the first at or behind *i that has an eventfd. 0: none. */
static int next_interrupt_fd(const struct driver *driver, unsigned vector, unsigned *i)
{
	for (; *i < kvm.n_routes; ++*i) {
		const struct kvm_irq_routing_entry *route = &kvm.routes[*i];

		if (route->type == KVM_IRQ_ROUTING_MSI && route->u.msi.data == vector_data(driver, vector) &&
		    kvm.fds[route->gsi])
			return kvm.fds[route->gsi];
	}
	return 0;
}

uint64_t driver_interrupts(struct driver *driver, unsigned vector)
{
	uint64_t count = 0;
	int fd;

	for (unsigned i = 0; (fd = next_interrupt_fd(driver, vector, &i)); i++)
		if (eventfd_read(fd, &count) == 0)
			return count;
	return 0;
}

int driver_interrupt_fd(const struct driver *driver, unsigned vector)
{
	unsigned i = 0;
	int fd = next_interrupt_fd(driver, vector, &i);

	assert_true(fd > 0);
	return fd;
}

static unsigned register_width(unsigned reg)
{
	switch (reg) {
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return 2;
	default:
		return 4;
	}
}

uint64_t driver_get(struct driver *driver, unsigned reg)
{
	return guest_read(driver->board, driver->common.address + reg, register_width(reg));
}

void driver_set(struct driver *driver, unsigned reg, uint64_t value)
{
	guest_write(driver->board, driver->common.address + reg, register_width(reg), value);
}

uint8_t driver_status(struct driver *driver)
{
	return (uint8_t)driver_get(driver, VIRTIO_PCI_COMMON_STATUS);
}

static void status_add(struct driver *driver, uint8_t bits)
{
	driver_set(driver, VIRTIO_PCI_COMMON_STATUS, driver_status(driver) | bits);
}

uint64_t driver_offered(struct driver *driver)
{
	uint64_t features;

	driver_set(driver, VIRTIO_PCI_COMMON_DFSELECT, 1);
	features = driver_get(driver, VIRTIO_PCI_COMMON_DF) << 32;
	driver_set(driver, VIRTIO_PCI_COMMON_DFSELECT, 0);
	return features | driver_get(driver, VIRTIO_PCI_COMMON_DF);
}

void driver_reset(struct driver *driver)
{
	driver_set(driver, VIRTIO_PCI_COMMON_STATUS, 0);
	board_settle(driver->board);
	/* A device with a thread of its own takes its time, and a driver waits for it (virtio 1.2, 4.1.4.3.2). */
	for (unsigned i = 0; i < RESET_TURNS && driver_status(driver); i++) {
		sched_yield();
		board_settle(driver->board);
	}
	assert_int_equal(driver_status(driver), 0);
}

bool driver_negotiate(struct driver *driver, uint64_t features)
{
	features |= 1ull << VIRTIO_F_VERSION_1;
	driver_reset(driver);
	status_add(driver, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	status_add(driver, VIRTIO_CONFIG_S_DRIVER);
	for (unsigned half = 0; half < 2; half++) {
		driver_set(driver, VIRTIO_PCI_COMMON_GFSELECT, half);
		driver_set(driver, VIRTIO_PCI_COMMON_GF, (uint32_t)(features >> (32 * half)));
	}
	driver_set(driver, VIRTIO_PCI_COMMON_MSIX, DRIVER_CONFIG_VECTOR);
	status_add(driver, VIRTIO_CONFIG_S_FEATURES_OK);
	driver->features = features;
	return driver_status(driver) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void driver_ok(struct driver *driver)
{
	status_add(driver, VIRTIO_CONFIG_S_DRIVER_OK);
	board_settle(driver->board);
}

void driver_queue_place(struct driver *driver, uint16_t index, uint16_t size, uint64_t desc, uint64_t avail,
                        uint64_t used)
{
	driver_set(driver, VIRTIO_PCI_COMMON_Q_SELECT, index);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_SIZE, size);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_MSIX, DRIVER_QUEUE_VECTOR(index));
	driver_set(driver, VIRTIO_PCI_COMMON_Q_DESCLO, (uint32_t)desc);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_DESCHI, desc >> 32);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_AVAILLO, (uint32_t)avail);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_AVAILHI, avail >> 32);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_USEDLO, (uint32_t)used);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_USEDHI, used >> 32);
}

void driver_queue(struct driver *driver, uint16_t index, uint16_t size, struct ring *ring)
{
	struct board *board = driver->board;
	uint64_t avail_size, used_size;

	driver_set(driver, VIRTIO_PCI_COMMON_Q_SELECT, index);
	if (!size)
		size = (uint16_t)driver_get(driver, VIRTIO_PCI_COMMON_Q_SIZE);
	assert_true(size > 0);
	/* 2.7: 6 bytes besides the entries. */
	avail_size = sizeof *ring->avail + size * sizeof ring->avail->ring[0] + sizeof(__virtio16);
	used_size = sizeof *ring->used + size * sizeof ring->used->ring[0] + sizeof(__virtio16);
	*ring = (struct ring){ .driver = driver, .index = index, .size = size };
	ring->desc_at = board_alloc(board, size * sizeof *ring->desc, VRING_DESC_ALIGN_SIZE);
	ring->avail_at = board_alloc(board, avail_size, VRING_AVAIL_ALIGN_SIZE);
	ring->used_at = board_alloc(board, used_size, VRING_USED_ALIGN_SIZE);
	ring->desc = board_at(board, ring->desc_at, size * sizeof *ring->desc);
	ring->avail = board_at(board, ring->avail_at, avail_size);
	ring->used = board_at(board, ring->used_at, used_size);
	driver_queue_place(driver, index, size, ring->desc_at, ring->avail_at, ring->used_at);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

void driver_start(struct driver *driver, uint64_t features, struct ring *rings, uint16_t n)
{
	assert_true(driver_negotiate(driver, features));
	for (uint16_t i = 0; i < n; i++)
		driver_queue(driver, i, 0, &rings[i]);
	driver_ok(driver);
}

/* ---- a ring ---- */

void ring_desc(struct ring *ring, unsigned at, uint64_t address, uint32_t len, uint16_t flags, uint16_t next)
{
	ring->desc[at] = (struct vring_desc){ .addr = address, .len = len, .flags = flags, .next = next };
}

void ring_offer(struct ring *ring, uint16_t head)
{
	ring->avail->ring[ring->avail->idx % ring->size] = head;
	ring->avail->idx++;
}

static uint64_t notify_address(struct driver *driver, uint16_t queue)
{
	driver_set(driver, VIRTIO_PCI_COMMON_Q_SELECT, queue);
	return driver_bar(driver, driver->notify.bar) + driver->notify.offset +
	       driver_get(driver, VIRTIO_PCI_COMMON_Q_NOFF) * driver->notify_multiplier;
}

int driver_notify_fd(struct driver *driver, uint16_t queue)
{
	int fd = notify_fd(driver->board, notify_address(driver, queue), driver->notify_is_port);

	assert_true(fd >= 0);
	return fd;
}

void ring_notify(struct ring *ring)
{
	struct driver *driver = ring->driver;
	uint64_t address = notify_address(driver, ring->index);

	if (driver->notify_is_port)
		guest_out(driver->board, (unsigned)address, 2, ring->index);
	else
		guest_write(driver->board, address, 2, ring->index);
}

bool ring_wants_notify(const struct ring *ring, uint16_t since)
{
	if (ring->driver->features & 1ull << VIRTIO_RING_F_EVENT_IDX)
		return vring_need_event(*ring_avail_event(ring), ring->avail->idx, since);
	return !(ring->used->flags & VRING_USED_F_NO_NOTIFY);
}

bool ring_used(struct ring *ring, struct vring_used_elem *element)
{
	if (ring->seen == ring->used->idx)
		return false;
	*element = ring->used->ring[ring->seen++ % ring->size];
	return true;
}

__virtio16 *ring_used_event(const struct ring *ring)
{
	return &ring->avail->ring[ring->size];
}

__virtio16 *ring_avail_event(const struct ring *ring)
{
	return (__virtio16 *)(void *)&ring->used->ring[ring->size];
}

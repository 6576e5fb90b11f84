/* SPDX-License-Identifier: MIT */
/*
 * guest-window.c - see guest.h: touches a window's pages whose file was cut short, the word `window` on its command
 * line. The device is that of window.c.
 */
#include "tests/hostile/guest.h"
#include "tests/hostile/window.h"

#define PAGE 4096u
/* 2 MiB where guest-virtio.c puts nothing. */
#define WINDOW_PLACE (PCI_WINDOW32_START + 0x10000000u)

static struct device window;

/* The BAR of the shared memory, which device_find() has put where it puts small ones. */
static bool place(void)
{
	for (unsigned at = (unsigned)memory_read(config_at(window.slot, PCI_CAPABILITY_LIST), 1); at;
	     at = (unsigned)memory_read(config_at(window.slot, at + PCI_CAP_LIST_NEXT), 1)) {
		unsigned bar;

		if (memory_read(config_at(window.slot, at), 1) != PCI_CAP_ID_VNDR ||
		    memory_read(config_at(window.slot, at + offsetof(struct virtio_pci_cap, cfg_type)), 1) !=
		            VIRTIO_PCI_CAP_SHARED_MEMORY_CFG)
			continue;
		bar = (unsigned)memory_read(config_at(window.slot, at + offsetof(struct virtio_pci_cap, bar)), 1);
		memory_write(config_at(window.slot, PCI_BASE_ADDRESS_0 + 4 * bar), 4, WINDOW_PLACE);
		memory_write(config_at(window.slot, PCI_BASE_ADDRESS_0 + 4 * bar + 4), 4, 0);
		return true;
	}
	return false;
}

static uint32_t number_at(unsigned page)
{
	return (uint32_t)memory_read(WINDOW_PLACE + (uint64_t)page * PAGE, 4);
}

/* Asks the plugin; how many pages it knows to be without a file. */
static uint32_t ask(uint32_t pages, bool map, bool watch)
{
	struct window_request *request = (void *)scratch;
	volatile uint32_t *answer = (void *)(scratch + PAGE);

	*request = (struct window_request){ .pages = pages, .map = map, .watch = watch };
	*answer = 0;
	window.desc[0] = (struct vring_desc){
		.addr = (uintptr_t)request, .len = sizeof *request, .flags = VRING_DESC_F_NEXT, .next = 1
	};
	window.desc[1] =
		(struct vring_desc){ .addr = (uintptr_t)answer, .len = sizeof *answer, .flags = VRING_DESC_F_WRITE };
	device_offer(&window, 0);
	device_wait_for_used(&window);
	return *answer;
}

static void fill(uint64_t offset, uint64_t len)
{
	uint64_t at = WINDOW_PLACE + offset;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(1) : "memory");
}

static void touch(const char *how, bool watch)
{
	static const unsigned pages[] = { 200, 100, WINDOW_FILE_PAGES - 1, 10, 11 };
	bool zeros = true;

	ask(10, true, watch);
	check(number_at(0) == 1 && number_at(9) == 10, how, "what the file still has is there");
	for (unsigned i = 0; i < sizeof pages / sizeof pages[0]; i++)
		zeros &= number_at(pages[i]) == 0;
	check(zeros, how, "what it has not any more reads as zeros");
	memory_write(WINDOW_PLACE + 150 * PAGE, 4, 77);
	check(number_at(150) == 77 && number_at(151) == 0 && number_at(9) == 10, how, "it can be written");
	ask(4, true, watch);
	/* One instruction over many pages, the first of which are there. */
	fill(2 * PAGE, 100 * PAGE);
	check(number_at(3) == 0x01010101 && number_at(101) == 0x01010101, how, "it can be written over its end");
}

/* As who reads a file past the page cache into another one that is mapped. The rings are one device's at a time. */
static void buffer_in_window(void)
{
	static struct device rng;

	ask(10, true, false);
	device_reset(&window);
	if (!device_find(&rng, VIRTIO_ID_RNG, "rng")) {
		check(false, "machine", "has an rng");
		return;
	}
	device_start(&rng, 0);
	for (unsigned page = 1; page <= 20; page += 19) { /* the second is not there any more */
		rng.desc[0] = (struct vring_desc){ .addr = WINDOW_PLACE + (uint64_t)page * PAGE,
			                           .len = PAGE,
			                           .flags = VRING_DESC_F_WRITE };
		device_offer(&rng, 0);
		device_wait_for_used(&rng);
	}
	check(number_at(1) != 2 && number_at(2) == 3, "rng", "fills a buffer in another device's window");
	check(number_at(20) == 0, "rng", "lives with one that has nothing behind it");
}

void window_faults(void)
{
	uint32_t told;

	if (!device_find(&window, VIRTIO_ID_FS, "window") || !place()) {
		check(false, "machine", "has a window");
		return;
	}
	device_start(&window, 0);
	check(number_at(0) == 1 && number_at(WINDOW_FILE_PAGES - 1) == WINDOW_FILE_PAGES, "window", "shows the file");
	check(number_at(WINDOW_FILE_PAGES) == 0, "window", "has zeros where no file is");
	touch("window", false);
	/* It comes by the loop, some time. */
	do
		told = ask(WINDOW_FILE_PAGES + 1, false, false);
	while (told == 0);
	check(told >= 5, "window", "the plugin is told");
	/* Where interrupts may come, KVM has a page fetched in the background, and again until that succeeds. */
	__asm__ volatile("sti");
	touch("window, interrupts on", true);
	__asm__ volatile("cli");
	buffer_in_window();
}

/* SPDX-License-Identifier: MIT */
/* acpi.c - see acpi.h. Called by machine.c once a machine; owns nothing. Table layouts: ACPI 6.4, 5.2. */
#include "core/machine/acpi.h"

#include <assert.h>
#include <string.h>

#include "core/machine/aml.h"
#include "core/machine/pci.h"

#define IOAPIC_ADDRESS 0xfec00000u
#define LAPIC_ADDRESS 0xfee00000u

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

/* Generic Address Structure (5.2.3.2). */
struct address {
	uint8_t space, bit_width, bit_offset, access_size;
	uint64_t address;
} __attribute__((packed));

/* Fixed ACPI Description Table (5.2.9): what a hardware-reduced machine leaves zero is not named. */
struct fadt {
	struct header header;
	uint8_t zero_to_boot_flags[109 - sizeof(struct header)];
	uint16_t boot_flags; /* IAPC_BOOT_ARCH, at 109 */
	uint8_t reserved;
	uint32_t flags; /* at 112 */
	struct address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_version;           /* at 131 */
	uint64_t firmware_control, dsdt; /* X_FIRMWARE_CTRL, X_DSDT at 140 */
	uint8_t zero_to_sleep[244 - 148];
	struct address sleep_control, sleep_status; /* at 244, 256 */
	char hypervisor[8];
} __attribute__((packed));

_Static_assert(sizeof(struct header) == 36 && sizeof(struct rsdp) == 36 && sizeof(struct fadt) == 276,
               "the layouts of ACPI 6.4");

enum {
	FADT_HARDWARE_REDUCED = 1u << 20,
	BOOT_LEGACY_DEVICES = 1u << 0,
	BOOT_NO_VGA = 1u << 2,
	BOOT_NO_ASPM = 1u << 4,
	BOOT_NO_CMOS_RTC = 1u << 5,
	SPACE_PORT = 1,
	ACCESS_BYTE = 1,
};

struct madt {
	struct header header;
	uint32_t lapic_address, flags;
} __attribute__((packed));

struct madt_lapic {
	uint8_t type, length, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct mcfg {
	struct header header;
	uint8_t reserved[8];
	uint64_t address;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint8_t reserved2[4];
} __attribute__((packed));

/* Where the next table goes. */
struct writer {
	uint8_t *base;
	size_t room, used;
};

static uint8_t checksum(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static void header_init(struct header *header, const char *signature, uint8_t revision, size_t length)
{
	memcpy(header->signature, signature, 4);
	header->length = (uint32_t)length;
	header->revision = revision;
	header->checksum = 0;
	memcpy(header->oem_id, "CAPSA ", 6);
	memcpy(header->oem_table_id, "CAPSAVM ", 8);
	header->oem_revision = 1;
	memcpy(header->creator_id, "CPSA", 4);
	header->creator_revision = 1;
}

/* Room for a table, zeroed, 16-byte aligned. */
static void *reserve(struct writer *w, size_t len)
{
	void *at;

	w->used = (w->used + 15) & ~(size_t)15;
	assert(len <= w->room - w->used);
	at = w->base + w->used;
	memset(at, 0, len);
	w->used += len;
	return at;
}

/* Closes a table; returns its guest address. */
static uint64_t finish(const struct writer *w, struct header *header)
{
	header->checksum = checksum(header, header->length);
	return ACPI_START + (uint64_t)((uint8_t *)header - w->base);
}

static void hid(struct aml *aml, const char *eisa_id)
{
	aml_name(aml, "_HID");
	aml_eisa_id(aml, eisa_id);
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
}

static void pci_root(struct aml *aml, const struct acpi_setup *setup)
{
	struct aml_package device = aml_device(aml, "PCI0");
	struct aml_resources resources;

	hid(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	aml_resource_bus(aml, 0, 0);
	aml_resource_ports(aml, PCI_WINDOW_PORT_START, PCI_WINDOW_PORT_START + PCI_WINDOW_PORT_SIZE - 1);
	aml_resource_memory32(aml, (uint32_t)PCI_WINDOW32_START,
	                      (uint32_t)(PCI_WINDOW32_START + PCI_WINDOW32_SIZE - 1));
	aml_resource_memory64(aml, setup->window64_start, setup->window64_start + setup->window64_size - 1);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/* Linux uses an ECAM only where a motherboard resource reserves it. */
static void motherboard(struct aml *aml)
{
	struct aml_package device = aml_device(aml, "MRES");
	struct aml_resources resources;

	hid(aml, "PNP0C02");
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	aml_resource_fixed_memory(aml, (uint32_t)PCI_ECAM_START, (uint32_t)PCI_ECAM_SIZE);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

static void power_button(struct aml *aml)
{
	struct aml_package device = aml_device(aml, "PWRB"), method;
	struct aml_resources resources;

	hid(aml, "PNP0C0C");
	aml_end(aml, device);

	device = aml_device(aml, "GED_");
	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0013");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	aml_resource_edge_interrupt(aml, ACPI_POWER_BUTTON_PIN);
	aml_resources_end(aml, resources);
	method = aml_method(aml, "_EVT", 1);
	aml_byte(aml, 0x86); /* Notify */
	aml_path(aml, "\\_SB_.PWRB");
	aml_integer(aml, 0x80); /* pressed */
	aml_end(aml, method);
	aml_end(aml, device);
}

static void serial_port(struct aml *aml)
{
	struct aml_package device = aml_device(aml, "COM1");
	struct aml_resources resources;

	hid(aml, "PNP0501");
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	aml_resource_fixed_ports(aml, 0x3f8, 8);
	aml_resource_edge_interrupt(aml, 4);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

static uint64_t write_dsdt(struct writer *w, const struct acpi_setup *setup)
{
	struct header *header = reserve(w, sizeof *header);
	struct aml aml = { .data = w->base + w->used, .room = w->room - w->used };
	struct aml_package scope = aml_scope(&aml, "\\_SB_"), sleep_type;

	pci_root(&aml, setup);
	motherboard(&aml);
	power_button(&aml);
	if (setup->serial)
		serial_port(&aml);
	aml_end(&aml, scope);

	aml_name(&aml, "\\_S5_");
	sleep_type = aml_package(&aml, 4);
	aml_integer(&aml, ACPI_SLEEP_TYPE_S5);
	for (int i = 0; i < 3; i++)
		aml_integer(&aml, 0);
	aml_end(&aml, sleep_type);

	assert(!aml.overflow);
	w->used += aml.used;
	header_init(header, "DSDT", 2, sizeof *header + aml.used);
	return finish(w, header);
}

static struct address sleep_register(uint64_t port)
{
	return (struct address){ .space = SPACE_PORT, .bit_width = 8, .access_size = ACCESS_BYTE, .address = port };
}

static uint64_t write_fadt(struct writer *w, uint64_t dsdt, bool serial)
{
	struct fadt *fadt = reserve(w, sizeof *fadt);

	header_init(&fadt->header, "FACP", 6, sizeof *fadt);
	fadt->minor_version = 4;
	/* No i8042 flag: the kernel need not look for a keyboard controller. */
	fadt->boot_flags = BOOT_NO_VGA | BOOT_NO_ASPM | BOOT_NO_CMOS_RTC | (serial ? BOOT_LEGACY_DEVICES : 0);
	fadt->flags = FADT_HARDWARE_REDUCED;
	fadt->dsdt = dsdt;
	fadt->sleep_control = sleep_register(ACPI_SLEEP_PORT);
	fadt->sleep_status = sleep_register(ACPI_SLEEP_PORT + 1);
	memcpy(fadt->hypervisor, "CAPSA\0\0", 8);
	return finish(w, &fadt->header);
}

static uint64_t write_madt(struct writer *w, unsigned cpus)
{
	size_t size = sizeof(struct madt) + cpus * sizeof(struct madt_lapic) + sizeof(struct madt_ioapic);
	struct madt *madt = reserve(w, size);
	struct madt_lapic *lapic = (struct madt_lapic *)(madt + 1);
	struct madt_ioapic *ioapic = (struct madt_ioapic *)(lapic + cpus);

	header_init(&madt->header, "APIC", 5, size);
	madt->lapic_address = LAPIC_ADDRESS;
	for (unsigned i = 0; i < cpus; i++)
		lapic[i] = (struct madt_lapic){
			.type = 0,
			.length = sizeof *lapic,
			.processor = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = 1,
		};
	*ioapic = (struct madt_ioapic){ .type = 1, .length = sizeof *ioapic, .id = 0, .address = IOAPIC_ADDRESS };
	return finish(w, &madt->header);
}

static uint64_t write_mcfg(struct writer *w)
{
	struct mcfg *mcfg = reserve(w, sizeof *mcfg);

	header_init(&mcfg->header, "MCFG", 1, sizeof *mcfg);
	mcfg->address = PCI_ECAM_START;
	return finish(w, &mcfg->header);
}

void acpi_write(const struct acpi_setup *setup, uint8_t *to, size_t room)
{
	struct writer w = { .base = to, .room = room };
	struct rsdp *rsdp = reserve(&w, sizeof *rsdp);
	uint64_t tables[3];
	struct header *xsdt;

	tables[0] = write_fadt(&w, write_dsdt(&w, setup), setup->serial);
	tables[1] = write_madt(&w, setup->cpus);
	tables[2] = write_mcfg(&w);

	xsdt = reserve(&w, sizeof *xsdt + sizeof tables);
	header_init(xsdt, "XSDT", 1, sizeof *xsdt + sizeof tables);
	memcpy(xsdt + 1, tables, sizeof tables);

	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "CAPSA ", 6);
	rsdp->revision = 2;
	rsdp->length = sizeof *rsdp;
	rsdp->xsdt = finish(&w, xsdt);
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->extended_checksum = checksum(rsdp, sizeof *rsdp);
}

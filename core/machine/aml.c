/* SPDX-License-Identifier: MIT */
/* aml.c - see aml.h. Called by acpi.c. Opcodes: ACPI 6.4, 20.3; resource descriptors: 6.4. */
#include "core/machine/aml.h"

#include <string.h>

enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_DUAL_NAME = 0x2e,
	AML_EXTENDED = 0x5b,
	AML_EXTENDED_DEVICE = 0x82,
};

/* Packages always use the four-byte length, so that closing one moves nothing. */
#define PACKAGE_LENGTH_BYTES 4u

void aml_bytes(struct aml *aml, const void *data, size_t len)
{
	if (aml->overflow || len > aml->room - aml->used) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->data + aml->used, data, len);
	aml->used += len;
}

void aml_byte(struct aml *aml, uint8_t value)
{
	aml_bytes(aml, &value, 1);
}

static void number(struct aml *aml, uint64_t value, unsigned len)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	aml_bytes(aml, bytes, len);
}

void aml_path(struct aml *aml, const char *path)
{
	size_t len;

	if (*path == '\\')
		aml_byte(aml, (uint8_t)*path++);
	len = strlen(path);
	if (len == 9) { /* two segments: "_SB_.PWRB" */
		aml_byte(aml, AML_DUAL_NAME);
		aml_bytes(aml, path, 4);
		path += 5;
	}
	aml_bytes(aml, path, 4);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_byte(aml, value ? AML_ONE : AML_ZERO);
	} else if (value <= UINT8_MAX) {
		aml_byte(aml, AML_BYTE);
		number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_byte(aml, AML_WORD);
		number(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_byte(aml, AML_DWORD);
		number(aml, value, 4);
	} else {
		aml_byte(aml, AML_QWORD);
		number(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_byte(aml, AML_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static uint8_t hex_digit(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisa_id(struct aml *aml, const char *id)
{
	uint8_t bytes[4] = {
		(uint8_t)((id[0] - '@') << 2 | (id[1] - '@') >> 3),
		(uint8_t)((id[1] - '@') << 5 | (id[2] - '@')),
		(uint8_t)(hex_digit(id[3]) << 4 | hex_digit(id[4])),
		(uint8_t)(hex_digit(id[5]) << 4 | hex_digit(id[6])),
	};

	aml_byte(aml, AML_DWORD);
	aml_bytes(aml, bytes, sizeof bytes);
}

void aml_name(struct aml *aml, const char *path)
{
	aml_byte(aml, AML_NAME);
	aml_path(aml, path);
}

static struct aml_package package_begin(struct aml *aml)
{
	struct aml_package package = { .length_at = aml->used };

	number(aml, 0, PACKAGE_LENGTH_BYTES);
	return package;
}

void aml_end(struct aml *aml, struct aml_package package)
{
	size_t len;
	uint8_t *at;

	if (aml->overflow)
		return;
	len = aml->used - package.length_at;
	at = aml->data + package.length_at;
	/* ACPI 6.4, 20.2.4: three more bytes follow, the low nibble is here. */
	at[0] = (uint8_t)((PACKAGE_LENGTH_BYTES - 1) << 6 | (len & 0xf));
	at[1] = (uint8_t)(len >> 4);
	at[2] = (uint8_t)(len >> 12);
	at[3] = (uint8_t)(len >> 20);
}

struct aml_package aml_scope(struct aml *aml, const char *path)
{
	struct aml_package package;

	aml_byte(aml, AML_SCOPE);
	package = package_begin(aml);
	aml_path(aml, path);
	return package;
}

struct aml_package aml_device(struct aml *aml, const char *name)
{
	struct aml_package package;

	aml_byte(aml, AML_EXTENDED);
	aml_byte(aml, AML_EXTENDED_DEVICE);
	package = package_begin(aml);
	aml_path(aml, name);
	return package;
}

struct aml_package aml_method(struct aml *aml, const char *name, unsigned n_arguments)
{
	struct aml_package package;

	aml_byte(aml, AML_METHOD);
	package = package_begin(aml);
	aml_path(aml, name);
	aml_byte(aml, (uint8_t)n_arguments);
	return package;
}

struct aml_package aml_package(struct aml *aml, uint8_t n_elements)
{
	struct aml_package package;

	aml_byte(aml, AML_PACKAGE);
	package = package_begin(aml);
	aml_byte(aml, n_elements);
	return package;
}

struct aml_resources aml_resources(struct aml *aml)
{
	struct aml_resources resources;

	aml_byte(aml, AML_BUFFER);
	resources.buffer = package_begin(aml);
	aml_byte(aml, AML_WORD); /* the buffer's size, as an integer object */
	resources.size_at = aml->used;
	number(aml, 0, 2);
	resources.begin = aml->used;
	return resources;
}

void aml_resources_end(struct aml *aml, struct aml_resources resources)
{
	size_t size;

	aml_byte(aml, 0x79); /* End Tag; a checksum of 0 means: treat as good */
	aml_byte(aml, 0);
	if (aml->overflow)
		return;
	size = aml->used - resources.begin;
	aml->data[resources.size_at] = (uint8_t)size;
	aml->data[resources.size_at + 1] = (uint8_t)(size >> 8);
	aml_end(aml, resources.buffer);
}

/* Word, DWord and QWord Address Space Descriptors differ in their width only (ACPI 6.4, 6.4.3.5). */
static void address_space(struct aml *aml, unsigned width, uint8_t type, uint8_t type_flags, uint64_t first,
                          uint64_t last)
{
	static const uint8_t tags[9] = { [2] = 0x88, [4] = 0x87, [8] = 0x8a };

	aml_byte(aml, tags[width]);
	number(aml, 3 + 5 * width, 2);
	aml_byte(aml, type);
	aml_byte(aml, 0x0c); /* producer, minimum and maximum fixed */
	aml_byte(aml, type_flags);
	number(aml, 0, width); /* granularity */
	number(aml, first, width);
	number(aml, last, width);
	number(aml, 0, width); /* translation */
	number(aml, last - first + 1, width);
}

void aml_resource_bus(struct aml *aml, uint16_t first, uint16_t last)
{
	address_space(aml, 2, 2, 0, first, last);
}

void aml_resource_ports(struct aml *aml, uint16_t first, uint16_t last)
{
	address_space(aml, 2, 1, 3, first, last); /* 3: the entire range */
}

void aml_resource_memory32(struct aml *aml, uint32_t first, uint32_t last)
{
	address_space(aml, 4, 0, 1, first, last); /* 1: read-write, not cacheable */
}

void aml_resource_memory64(struct aml *aml, uint64_t first, uint64_t last)
{
	address_space(aml, 8, 0, 1, first, last);
}

void aml_resource_fixed_memory(struct aml *aml, uint32_t start, uint32_t size)
{
	aml_byte(aml, 0x86);
	number(aml, 9, 2);
	aml_byte(aml, 1); /* read-write */
	number(aml, start, 4);
	number(aml, size, 4);
}

void aml_resource_fixed_ports(struct aml *aml, uint16_t start, uint8_t size)
{
	aml_byte(aml, 0x47);
	aml_byte(aml, 1); /* 16-bit decoding */
	number(aml, start, 2);
	number(aml, start, 2);
	aml_byte(aml, 1); /* alignment */
	aml_byte(aml, size);
}

void aml_resource_edge_interrupt(struct aml *aml, uint32_t gsi)
{
	aml_byte(aml, 0x89);
	number(aml, 6, 2);
	aml_byte(aml, 0x03); /* consumer, edge, active high, exclusive */
	aml_byte(aml, 1);    /* one interrupt */
	number(aml, gsi, 4);
}

/* SPDX-License-Identifier: MIT */
/*
 * aml.h - writes ACPI Machine Language (ACPI 6.4, 20) into a bounded buffer.
 *
 * Only what acpi.c's DSDT needs. A package whose length is not yet known (Device, Scope, Method,
 * Package, Buffer) is opened and closed; its length is written when it closes. Too little room
 * sets `overflow`, and nothing more is written: acpi.c asserts at the end, for what it writes
 * depends on no outsider.
 */
#ifndef CAPSA_MACHINE_AML_H
#define CAPSA_MACHINE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t room, used;
	bool overflow;
};

/* An opened package: where it began. */
struct aml_package {
	size_t length_at;
};

void aml_bytes(struct aml *aml, const void *data, size_t len);
void aml_byte(struct aml *aml, uint8_t value);
/* A name: "\\_SB_", "_HID", "\\_SB_.PWRB" (every segment four characters). */
void aml_path(struct aml *aml, const char *path);
/* An integer constant in its shortest encoding. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/* "PNP0C0C" as a compressed EISA identifier. */
void aml_eisa_id(struct aml *aml, const char *id);

/* Name (path, ...): the object follows. */
void aml_name(struct aml *aml, const char *path);

struct aml_package aml_scope(struct aml *aml, const char *path);
struct aml_package aml_device(struct aml *aml, const char *name);
struct aml_package aml_method(struct aml *aml, const char *name, unsigned n_arguments);
struct aml_package aml_package(struct aml *aml, uint8_t n_elements);
void aml_end(struct aml *aml, struct aml_package package);

/* A resource template (ACPI 6.4, 6.4): opens the buffer; resources follow; closes it. */
struct aml_resources {
	struct aml_package buffer;
	size_t size_at, begin;
};
struct aml_resources aml_resources(struct aml *aml);
void aml_resources_end(struct aml *aml, struct aml_resources resources);

/* Address ranges that a bridge produces. */
void aml_resource_bus(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_ports(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_memory32(struct aml *aml, uint32_t first, uint32_t last);
void aml_resource_memory64(struct aml *aml, uint64_t first, uint64_t last);
/* What a device consumes. */
void aml_resource_fixed_memory(struct aml *aml, uint32_t start, uint32_t size);
void aml_resource_fixed_ports(struct aml *aml, uint16_t start, uint8_t size);
void aml_resource_edge_interrupt(struct aml *aml, uint32_t gsi);

#endif

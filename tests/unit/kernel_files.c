/* SPDX-License-Identifier: MIT */
/*
 * kernel_files.c - writes kernels into the current folder, for tests that are scripts: none of them runs, but all of
 * capsa up to the first instruction takes them (or must not). Called by bad-input.sh, cache.sh and doctor.sh.
 *
 *   vmlinux  an ELF, 16 to 17 MiB       huge-vmlinux   one that needs 300 MiB
 *   bzimage  the same, packed (zstd)    large-bzimage  one that needs 40 MiB to unpack itself
 *   built-in-vmlinux  with the names    damaged        one whose payload is damaged
 *                     of virtio drivers
 */
#include "tests/unit/boot_fixture.h"

#include <stdio.h>
#include <string.h>

static void write_file(const char *name, struct blob blob)
{
	FILE *file = fopen(name, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(blob.data, 1, blob.size, file), blob.size);
	assert_int_equal(fclose(file), 0);
}

int main(void)
{
	struct blob elf = fixture_elf(), packed = fixture_packed_kernel(PACK_ZSTD);

	write_file("vmlinux", elf);
	write_file("bzimage", packed);
	memcpy(elf.data + 0x2000, "virtio-pci\0virtio_console", 26);
	write_file("built-in-vmlinux", elf);
	fixture_segment(&elf, 1)->p_memsz = 300 * MIB;
	write_file("huge-vmlinux", elf);
	fixture_header(&packed)->init_size = 40u << 20;
	write_file("large-bzimage", packed);
	memset(packed.data + SETUP_SIZE + PAYLOAD_AT + 6, 0xff, 16);
	write_file("damaged", packed);
	fixture_free(&elf);
	fixture_free(&packed);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* boot_fixture.c - see boot_fixture.h. */
#include "tests/unit/boot_fixture.h"

#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define TEXT_OFFSET 0x1000u
#define DATA_OFFSET 0x7000u
#define ELF_SIZE 0xa000u
#define LZ4_BLOCK (8u << 20)

const char *const packing_names[PACKINGS] = { "gzip", "xz", "lz4", "zstd", "unknown" };

static char folder[256];

static struct blob blob_new(size_t size)
{
	struct blob blob = { calloc(1, size), size };

	assert_non_null(blob.data);
	return blob;
}

void fixture_free(struct blob *blob)
{
	free(blob->data);
	*blob = (struct blob){ NULL, 0 };
}

Elf64_Ehdr *fixture_elf_header(struct blob *elf)
{
	return (Elf64_Ehdr *)(void *)elf->data;
}

Elf64_Phdr *fixture_segment(struct blob *elf, unsigned i)
{
	return (Elf64_Phdr *)(void *)(elf->data + sizeof(Elf64_Ehdr)) + i;
}

static uint8_t pattern(uint64_t address)
{
	return (uint8_t)(1 + (address * 7 + (address >> 8)) % 255);
}

struct blob fixture_elf(void)
{
	struct blob elf = blob_new(ELF_SIZE);
	Elf64_Ehdr *header = fixture_elf_header(&elf);

	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_ident[EI_VERSION] = EV_CURRENT;
	header->e_type = ET_EXEC;
	header->e_machine = EM_X86_64;
	header->e_version = EV_CURRENT;
	header->e_entry = TEXT_AT;
	header->e_phoff = sizeof *header;
	header->e_ehsize = sizeof *header;
	header->e_phentsize = sizeof(Elf64_Phdr);
	header->e_phnum = 3;
	*fixture_segment(&elf, 0) = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x800, .p_filesz = 64, .p_memsz = 64 };
	*fixture_segment(&elf, 1) = (Elf64_Phdr){ .p_type = PT_LOAD,
		                                  .p_offset = DATA_OFFSET,
		                                  .p_vaddr = 0xffffffff81008123,
		                                  .p_paddr = DATA_AT,
		                                  .p_filesz = DATA_SIZE,
		                                  .p_memsz = KERNEL_END - DATA_AT };
	*fixture_segment(&elf, 2) = (Elf64_Phdr){ .p_type = PT_LOAD,
		                                  .p_offset = TEXT_OFFSET,
		                                  .p_vaddr = 0xffffffff81000000,
		                                  .p_paddr = TEXT_AT,
		                                  .p_filesz = TEXT_SIZE,
		                                  .p_memsz = TEXT_SIZE };
	for (uint64_t i = 0; i < TEXT_SIZE; i++)
		elf.data[TEXT_OFFSET + i] = pattern(TEXT_AT + i);
	for (uint64_t i = 0; i < DATA_SIZE; i++)
		elf.data[DATA_OFFSET + i] = pattern(DATA_AT + i);
	memset(elf.data + DATA_OFFSET + DATA_SIZE, 0xee, ELF_SIZE - DATA_OFFSET - DATA_SIZE);
	return elf;
}

void fixture_check_loaded(const uint8_t *at)
{
	for (uint64_t address = TEXT_AT; address < KERNEL_END; address++) {
		bool stored = address < TEXT_AT + TEXT_SIZE || (address >= DATA_AT && address < DATA_AT + DATA_SIZE);
		uint8_t expected = stored ? pattern(address) : 0;

		if (at[address - TEXT_AT] != expected)
			fail_msg("0x%llx holds %u instead of %u", (unsigned long long)address, at[address - TEXT_AT],
			         expected);
	}
}

static size_t pack_gzip(struct blob in, struct blob out)
{
	z_stream z = {
		.next_in = in.data, .avail_in = (uInt)in.size, .next_out = out.data, .avail_out = (uInt)out.size
	};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_xz(struct blob in, struct blob out)
{
	size_t used = 0;

	assert_int_equal(
		lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in.data, in.size, out.data, &used, out.size),
		LZMA_OK);
	return used;
}

static void put32(uint8_t *at, size_t value)
{
	uint32_t le = htole32((uint32_t)value);

	memcpy(at, &le, sizeof le);
}

static size_t pack_lz4(struct blob in, struct blob out)
{
	size_t used = 4;

	put32(out.data, 0x184c2102);
	for (size_t at = 0; at < in.size; at += LZ4_BLOCK) {
		size_t part = in.size - at < LZ4_BLOCK ? in.size - at : LZ4_BLOCK;
		int n = LZ4_compress_default((const char *)in.data + at, (char *)out.data + used + 4, (int)part,
		                             (int)(out.size - used - 4));

		assert_true(n > 0);
		put32(out.data + used, (size_t)n);
		used += 4 + (size_t)n;
	}
	return used;
}

static size_t pack_zstd(struct blob in, struct blob out)
{
	size_t used = ZSTD_compress(out.data, out.size, in.data, in.size, 1);

	assert_false(ZSTD_isError(used));
	return used;
}

struct blob fixture_pack(struct blob in, enum packing packing)
{
	struct blob out = blob_new(in.size + in.size / 8 + 4096);

	switch (packing) {
	case PACK_GZIP:
		out.size = pack_gzip(in, out);
		return out;
	case PACK_XZ:
		out.size = pack_xz(in, out);
		break;
	case PACK_LZ4:
		out.size = pack_lz4(in, out);
		break;
	case PACK_ZSTD:
		out.size = pack_zstd(in, out);
		break;
	default:
		memcpy(out.data, "BZh91AY&SY", 10);
		out.size = 4096;
		break;
	}
	put32(out.data + out.size, in.size);
	out.size += 4;
	return out;
}

struct setup_header *fixture_header(struct blob *bzimage)
{
	return (struct setup_header *)(bzimage->data + 0x1f1);
}

struct blob fixture_bzimage(struct blob payload)
{
	struct blob image = blob_new(SETUP_SIZE + ((PAYLOAD_AT + payload.size + 100 + 15) & ~(size_t)15));
	struct setup_header *header = fixture_header(&image);

	memcpy(image.data, "MZ", 2);
	header->setup_sects = SETUP_SIZE / 512 - 1;
	header->boot_flag = 0xaa55;
	header->jump = 0x6aeb;
	header->header = 0x53726448;
	header->version = 0x020f;
	header->kernel_version = 0x300 - 0x200;
	strcpy((char *)image.data + 0x300, FIXTURE_VERSION);
	header->syssize = (uint32_t)((image.size - SETUP_SIZE) / 16);
	header->loadflags = LOADED_HIGH;
	header->initrd_addr_max = 0x7fffffff;
	header->kernel_alignment = 0x200000;
	header->relocatable_kernel = 1;
	header->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	header->cmdline_size = 2047;
	header->setup_data = 0x1234;
	header->payload_offset = PAYLOAD_AT;
	header->payload_length = (uint32_t)payload.size;
	header->pref_address = TEXT_AT;
	header->init_size = (uint32_t)(KERNEL_END - TEXT_AT);
	memset(image.data + SETUP_SIZE, 0xcc, PAYLOAD_AT);
	memcpy(image.data + SETUP_SIZE + PAYLOAD_AT, payload.data, payload.size);
	free(payload.data);
	return image;
}

struct blob fixture_packed_kernel(enum packing packing)
{
	struct blob elf = fixture_elf(), image = fixture_bzimage(fixture_pack(elf, packing));

	fixture_free(&elf);
	return image;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

int fixture_enter(void **state)
{
	const char *top = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof folder, "%s/capsa-boot-XXXXXX", top && strlen(top) < 200 ? top : "/tmp");
	if (!mkdtemp(folder))
		return -1;
	return setenv("CAPSA_CACHE", fixture_path("cache"), 1);
}

int fixture_leave(void **state)
{
	(void)state;
	chmod(fixture_path("cache"), 0700);
	chmod(fixture_path("cache/kernels"), 0700);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

const char *fixture_file(const char *name, struct blob blob)
{
	const char *path = fixture_path(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	if (blob.size)
		assert_int_equal(fwrite(blob.data, 1, blob.size, file), blob.size);
	assert_int_equal(fclose(file), 0);
	return path;
}

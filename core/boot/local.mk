# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/boot/libboot.a
core_boot_libboot_a_SOURCES = \
	core/boot/boot.h \
	core/boot/cache.c \
	core/boot/cmdline.c \
	core/boot/default.c \
	core/boot/elf.c \
	core/boot/image.c \
	core/boot/initrd.c \
	core/boot/kernel.c \
	core/boot/kernel.h \
	core/boot/load.c \
	core/boot/params.c \
	core/boot/search.c \
	core/boot/unpack-stream.c core/boot/unpack-stream.h \
	core/boot/unpack.c
core_boot_libboot_a_CFLAGS = $(AM_CFLAGS) $(UNPACK_CFLAGS)

boot_test_ldadd = core/boot/libboot.a core/machine/libmachine.a $(UNIT_LIBS) $(UNPACK_LIBS)
boot_tests = \
	tests/unit/boot_cache_test \
	tests/unit/boot_cmdline_test \
	tests/unit/boot_image_test \
	tests/unit/boot_load_test
if HAVE_CMOCKA
check_PROGRAMS += $(boot_tests) tests/unit/kernel_files
TESTS += $(boot_tests)
endif
tests_unit_boot_cache_test_SOURCES = tests/unit/boot_cache_test.c tests/unit/boot_fixture.c tests/unit/boot_fixture.h
tests_unit_boot_cache_test_CFLAGS = $(UNIT_CFLAGS) $(UNPACK_CFLAGS)
tests_unit_boot_cache_test_LDADD = $(boot_test_ldadd)
tests_unit_boot_cmdline_test_SOURCES = tests/unit/boot_cmdline_test.c
tests_unit_boot_cmdline_test_CFLAGS = $(UNIT_CFLAGS) $(UNPACK_CFLAGS)
tests_unit_boot_cmdline_test_LDADD = $(boot_test_ldadd)
tests_unit_boot_image_test_SOURCES = tests/unit/boot_image_test.c tests/unit/boot_fixture.c tests/unit/boot_fixture.h
tests_unit_boot_image_test_CFLAGS = $(UNIT_CFLAGS) $(UNPACK_CFLAGS)
tests_unit_boot_image_test_LDADD = $(boot_test_ldadd)
tests_unit_boot_load_test_SOURCES = tests/unit/boot_load_test.c tests/unit/boot_fixture.c tests/unit/boot_fixture.h
tests_unit_boot_load_test_CFLAGS = $(UNIT_CFLAGS) $(UNPACK_CFLAGS)
tests_unit_boot_load_test_LDADD = $(boot_test_ldadd)
tests_unit_kernel_files_SOURCES = tests/unit/kernel_files.c tests/unit/boot_fixture.c tests/unit/boot_fixture.h
tests_unit_kernel_files_CFLAGS = $(UNIT_CFLAGS) $(UNPACK_CFLAGS)
tests_unit_kernel_files_LDADD = $(boot_test_ldadd)

# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/doctor/libdoctor.a
core_doctor_libdoctor_a_SOURCES = \
	core/doctor/doctor.h core/doctor/doctor-private.h \
	core/doctor/host.c \
	core/doctor/initrd-scan.c core/doctor/initrd-scan.h \
	core/doctor/machine.c \
	core/doctor/selftest.c core/doctor/selftest.h \
	core/doctor/selftest-guest.S

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/initrd_scan_test
TESTS += tests/unit/initrd_scan_test
endif
tests_unit_initrd_scan_test_SOURCES = tests/unit/initrd_scan_test.c
tests_unit_initrd_scan_test_CFLAGS = $(UNIT_CFLAGS) $(UNPACK_CFLAGS)
tests_unit_initrd_scan_test_LDADD = core/doctor/libdoctor.a core/boot/libboot.a $(UNIT_LIBS) $(UNPACK_LIBS)

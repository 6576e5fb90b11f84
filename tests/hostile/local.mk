# SPDX-License-Identifier: MIT
# Guests that mean harm: a driver in a unit test, and a program that runs in place of a kernel (tests/guest/hostile.sh).
if HAVE_CMOCKA
HOSTILE_TESTS = tests/hostile/driver_test tests/hostile/fs_test tests/hostile/net_test tests/hostile/plugins_test tests/hostile/threads_test tests/hostile/vsock_test
check_PROGRAMS += $(HOSTILE_TESTS)
TESTS += $(HOSTILE_TESTS)
endif
tests_hostile_driver_test_SOURCES = tests/hostile/driver_test.c tests/hostile/garbage.c tests/hostile/garbage.h
tests_hostile_driver_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_driver_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_driver_test_LDADD = $(VIRTIO_TEST_WITH)
tests_hostile_fs_test_SOURCES = tests/hostile/fs_test.c tests/hostile/garbage.c tests/hostile/garbage.h
tests_hostile_fs_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_fs_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_fs_test_LDADD = $(VIRTIO_PLUGIN_TEST_WITH)
tests_hostile_net_test_SOURCES = tests/hostile/net_test.c tests/hostile/garbage.c tests/hostile/garbage.h \
	tests/unit/nat_namespace.c tests/unit/nat_namespace.h
tests_hostile_net_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_net_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_net_test_LDADD = $(VIRTIO_PLUGIN_TEST_WITH)
tests_hostile_plugins_test_SOURCES = tests/hostile/plugins_test.c tests/hostile/garbage.c tests/hostile/garbage.h
tests_hostile_plugins_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_plugins_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_plugins_test_LDADD = $(VIRTIO_PLUGIN_TEST_WITH)
tests_hostile_threads_test_SOURCES = tests/hostile/threads_test.c
tests_hostile_threads_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_threads_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_threads_test_LDADD = $(VIRTIO_TEST_WITH)
tests_hostile_vsock_test_SOURCES = tests/hostile/vsock_test.c tests/hostile/garbage.c tests/hostile/garbage.h \
	tests/unit/vsock_guest.c tests/unit/vsock_guest.h tests/unit/descriptors.h
tests_hostile_vsock_test_CFLAGS = $(UNIT_CFLAGS)
tests_hostile_vsock_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_hostile_vsock_test_LDADD = $(VSOCK_TEST_WITH)

# Not for this machine, so none of the usual flags: no libc, no stack protector, linked to where it is loaded.
HOSTILE_GUEST = tests/hostile/guest.c tests/hostile/guest-virtio.c tests/hostile/guest-window.c
HOSTILE_COMPILE = -std=gnu11 -O1 -ffreestanding -fno-pie -fno-pic -fno-stack-protector -fcf-protection=none -mno-red-zone \
	-mgeneral-regs-only $(WARN_CFLAGS)
HOSTILE_LINK = -nostdlib -static -Wl,--build-id=none,-Ttext-segment=0x1000000,-z,noexecstack
noinst_DATA += tests/hostile/guest.elf
EXTRA_DIST += $(HOSTILE_GUEST) tests/hostile/guest.h tests/hostile/window.h
CLEANFILES += tests/hostile/guest.elf
tests/hostile/guest.elf: $(HOSTILE_GUEST) tests/hostile/guest.h tests/hostile/window.h core/machine/pci.h core/machine/acpi.h core/machine/serial.h
	$(AM_V_GEN)$(MKDIR_P) tests/hostile && $(CC) -I$(top_srcdir) $(HOSTILE_COMPILE) $(HOSTILE_LINK) -o $@ \
		$(HOSTILE_GUEST:%=$(top_srcdir)/%)

# The device of guest-window.c. Built with the guest, by `make all`; -rpath as for tests/unit/plugins.
noinst_LTLIBRARIES += tests/hostile/window.la
tests_hostile_window_la_SOURCES = tests/hostile/window.c tests/hostile/window.h
tests_hostile_window_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere

# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/virtio/libvirtio.a
core_virtio_libvirtio_a_SOURCES = \
	core/virtio/capabilities.c \
	core/virtio/chain.c \
	core/virtio/device.c core/virtio/device-private.h \
	core/virtio/notify.c \
	core/virtio/queue.c core/virtio/queue.h \
	core/virtio/request.c \
	core/virtio/service.c \
	core/virtio/status.c \
	core/virtio/transport.c \
	core/virtio/virtio.h

# Its tests drive it as a guest would: tests/unit/virtio_driver.h.
VIRTIO_TEST_LINK = $(AM_LDFLAGS) -Wl,--wrap=ioctl,--wrap=log_line
VIRTIO_TEST_WITH = tests/unit/libvirtio-test.a core/virtio/libvirtio.a core/machine/libmachine.a $(UNIT_LIBS)
VIRTIO_PLUGIN_TEST_WITH = tests/unit/libvirtio-test.a core/plugin/libplugin.a core/virtio/libvirtio.a \
	core/machine/libmachine.a core/config/libconfig.a $(UNIT_LIBS) $(CONFIG_LIBS)

if HAVE_CMOCKA
check_LIBRARIES += tests/unit/libvirtio-test.a
VIRTIO_TESTS = tests/unit/virtio_negotiation_test tests/unit/virtio_pci_test tests/unit/virtio_plugin_test \
	tests/unit/virtio_queue_test
check_PROGRAMS += $(VIRTIO_TESTS)
TESTS += $(VIRTIO_TESTS)
endif
tests_unit_libvirtio_test_a_SOURCES = \
	tests/unit/virtio_driver.c tests/unit/virtio_driver.h \
	tests/unit/virtio_plugin.c tests/unit/virtio_plugin.h \
	tests/unit/virtio_target.c tests/unit/virtio_target.h
tests_unit_libvirtio_test_a_CFLAGS = $(UNIT_CFLAGS)

tests_unit_virtio_negotiation_test_SOURCES = tests/unit/virtio_negotiation_test.c
tests_unit_virtio_negotiation_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_virtio_negotiation_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_virtio_negotiation_test_LDADD = $(VIRTIO_TEST_WITH)

tests_unit_virtio_queue_test_SOURCES = tests/unit/virtio_queue_test.c
tests_unit_virtio_queue_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_virtio_queue_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_virtio_queue_test_LDADD = $(VIRTIO_TEST_WITH)

tests_unit_virtio_pci_test_SOURCES = tests/unit/virtio_pci_test.c
tests_unit_virtio_pci_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_virtio_pci_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_virtio_pci_test_LDADD = $(VIRTIO_TEST_WITH)

tests_unit_virtio_plugin_test_SOURCES = tests/unit/virtio_plugin_test.c
tests_unit_virtio_plugin_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_virtio_plugin_test_LDFLAGS = $(VIRTIO_TEST_LINK)
tests_unit_virtio_plugin_test_LDADD = $(VIRTIO_PLUGIN_TEST_WITH)

/* SPDX-License-Identifier: MIT */
/* sockets.c - see sockets.h. To be written. */
#include "plugins/net-nat/sockets.h"

int sockets_new(const struct capsa_host *host, struct capsa_device *dev, void (*batch_end)(void *ctx), void *ctx,
                struct sockets **out)
{
	(void)host;
	(void)dev;
	(void)batch_end;
	(void)ctx;
	(void)out;
	*out = NULL;
	return 0;
}

void sockets_free(struct sockets *sockets)
{
	(void)sockets;
}

int sockets_open(struct sockets *sockets, int domain, int type, int protocol)
{
	(void)sockets;
	(void)domain;
	(void)type;
	(void)protocol;
	return 0;
}

int sockets_add(struct sockets *sockets, struct socket_source *source)
{
	(void)sockets;
	(void)source;
	return 0;
}

void sockets_remove(struct sockets *sockets, struct socket_source *source)
{
	(void)sockets;
	(void)source;
}

void sockets_close(struct sockets *sockets, struct socket_source *source)
{
	(void)sockets;
	(void)source;
}

int sockets_adopt(struct sockets *sockets, int fd)
{
	(void)sockets;
	(void)fd;
	return 0;
}

void sockets_again(struct sockets *sockets, struct socket_source *source, uint32_t events)
{
	(void)sockets;
	(void)source;
	(void)events;
}

unsigned sockets_count(const struct sockets *sockets)
{
	(void)sockets;
	return 0;
}

/*
 * An echo server over libuv. Prints its port.
 *
 *	uv_echo guide   as libuv's guide writes it: each read into memory of its own, which is freed
 *	                when it has been written
 *	uv_echo try     the most that libuv gives: one buffer for all reads, and uv_try_write
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

enum { SIZE = 64 * 1024 };

struct answer {
	uv_write_t request;
	uv_buf_t bytes;
};

static void closed(uv_handle_t *handle)
{
	free(handle);
}

static void written(uv_write_t *request, int status)
{
	struct answer *answer = (struct answer *)request;

	(void)status;
	free(answer->bytes.base);
	free(answer);
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see that libuv keeps what it is given */

static void answer_with(uv_stream_t *client, char *bytes, size_t length)
{
	struct answer *answer = malloc(sizeof(*answer));

	if (!answer || !bytes)
		abort();
	answer->bytes = uv_buf_init(bytes, (unsigned)length);
	uv_write(&answer->request, client, &answer->bytes, 1, written);
}

/* ---- guide ---- */

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *into)
{
	char *bytes = malloc(suggested);

	(void)handle;
	*into = uv_buf_init(bytes, (unsigned)suggested);
}

static void received(uv_stream_t *client, ssize_t n, const uv_buf_t *from)
{
	if (n > 0) {
		answer_with(client, from->base, (size_t)n);
		return;
	}
	if (n < 0)
		uv_close((uv_handle_t *)client, closed);
	free(from->base);
}

/* ---- try ---- */

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *into)
{
	static char buffer[SIZE];

	(void)handle;
	(void)suggested;
	*into = uv_buf_init(buffer, SIZE);
}

static void received_lent(uv_stream_t *client, ssize_t n, const uv_buf_t *from)
{
	uv_buf_t out = uv_buf_init(from->base, n > 0 ? (unsigned)n : 0);
	size_t rest;
	char *copy;
	int sent;

	if (n < 0)
		uv_close((uv_handle_t *)client, closed);
	if (n <= 0)
		return;
	sent = uv_try_write(client, &out, 1);
	if (sent == n || (sent < 0 && sent != UV_EAGAIN))
		return;
	rest = (size_t)(sent < 0 ? n : n - sent);
	copy = malloc(rest);
	if (!copy)
		abort();
	memcpy(copy, from->base + n - rest, rest);
	answer_with(client, copy, rest);
}

/* NOLINTEND(clang-analyzer-unix.Malloc) */

static int tries;

static void arrived(uv_stream_t *listener, int status)
{
	uv_tcp_t *client = malloc(sizeof(*client));

	if (status < 0 || !client)
		abort();
	uv_tcp_init(listener->loop, client);
	if (uv_accept(listener, (uv_stream_t *)client) < 0) {
		uv_close((uv_handle_t *)client, closed);
		return;
	}
	uv_tcp_nodelay(client, 1);
	if (tries)
		uv_read_start((uv_stream_t *)client, lend, received_lent);
	else
		uv_read_start((uv_stream_t *)client, allocate, received);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	int length = sizeof(address);
	struct rlimit limit;
	uv_tcp_t listener;

	tries = argc > 1 && strcmp(argv[1], "try") == 0;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	uv_tcp_init(uv_default_loop(), &listener);
	uv_ip4_addr("127.0.0.1", 0, &address);
	uv_tcp_bind(&listener, (struct sockaddr *)&address, 0);
	if (uv_listen((uv_stream_t *)&listener, SOMAXCONN, arrived) < 0)
		return 1;
	uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

/* An echo server as libuv's guide writes it, with one buffer for all reads. Prints its port. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <uv.h>

enum { SIZE = 64 * 1024 };

struct answer {
	uv_write_t request;
	char data[];
};

static char buffer[SIZE];

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *into)
{
	(void)handle;
	(void)suggested;
	*into = uv_buf_init(buffer, SIZE);
}

static void closed(uv_handle_t *handle)
{
	free(handle);
}

static void written(uv_write_t *request, int status)
{
	(void)status;
	free(request);
}

static void received(uv_stream_t *client, ssize_t n, const uv_buf_t *from)
{
	uv_buf_t out = uv_buf_init(from->base, n > 0 ? (unsigned)n : 0);
	struct answer *rest;
	int sent;

	if (n < 0)
		uv_close((uv_handle_t *)client, closed);
	if (n <= 0)
		return;
	sent = uv_try_write(client, &out, 1);
	if (sent == n || (sent < 0 && sent != UV_EAGAIN))
		return;
	sent = sent < 0 ? 0 : sent;
	rest = malloc(sizeof(*rest) + (size_t)(n - sent));
	if (!rest)
		abort();
	for (ssize_t i = sent; i < n; i++)
		rest->data[i - sent] = from->base[i];
	out = uv_buf_init(rest->data, (unsigned)(n - sent));
	uv_write(&rest->request, client, &out, 1, written);
}

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
	uv_read_start((uv_stream_t *)client, lend, received);
}

int main(void)
{
	struct sockaddr_in address;
	int length = sizeof(address);
	struct rlimit limit;
	uv_tcp_t listener;

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

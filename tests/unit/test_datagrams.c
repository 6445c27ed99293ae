/* Several datagrams at a time: none is lost, or mixed with another, whatever stands between. */
#include "each_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 100, CLIENTS = 3, EACH = 50 };

static struct {
	struct mux_io io;
	struct mux_op recv_op;
	struct mux_op send_op;
	struct mux_buf *buf;
	struct os_datagram datagrams[OS_DATAGRAMS];
	struct os_address bound;
	size_t came;    /* so far */
	size_t awaited; /* and then it closes */
	size_t too_long;
	ssize_t result; /* the last callback's */
	bool spoils;    /* puts one that cannot be sent before the others */
} server;

static int clients[CLIENTS];

static int bound_socket(struct os_address *bound)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	*bound = (struct os_address){ .length = sizeof(bound->u.v4) };
	bound->u.v4.sin_family = AF_INET;
	bound->u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, &bound->u.any, bound->length), 0);
	assert_int_equal(getsockname(fd, &bound->u.any, &bound->length), 0);
	return fd;
}

static int open_all(void **state)
{
	struct os_address unused;
	int error = open_loop(state);

	if (error)
		return error;
	memset(&server, 0, sizeof(server));
	server.buf = mux_buf_new(OS_DATAGRAMS * ROOM);
	for (size_t i = 0; i < OS_DATAGRAMS; i++) {
		server.datagrams[i].data = server.buf->data + i * ROOM;
		server.datagrams[i].size = ROOM;
	}
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = bound_socket(&unused);
	return mux_attach(mux, &server.io, bound_socket(&server.bound), OS_SOCKET);
}

static int close_all(void **state)
{
	for (size_t i = 0; i < CLIENTS; i++)
		close(clients[i]);
	mux_buf_unref(server.buf);
	return close_loop(state);
}

#define WITH_A_SERVER(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

static void received(struct mux_op *op, ssize_t n);

static void receive(size_t count)
{
	mux_recv_datagrams(&server.io, &server.recv_op, server.datagrams, count, received);
}

static void sent(struct mux_op *op, ssize_t result)
{
	(void)op;
	server.result = result;
	if (server.came == server.awaited)
		mux_close(&server.io, NULL);
	else
		receive(OS_DATAGRAMS);
}

static void received(struct mux_op *op, ssize_t n)
{
	(void)op;
	server.result = n;
	if (n <= 0)
		return;
	server.came += (size_t)n;
	for (ssize_t i = 0; i < n; i++)
		if (server.datagrams[i].length == -EMSGSIZE) {
			server.too_long++;
			server.datagrams[i].length = 0;
		}
	if (server.spoils)
		server.datagrams[0].peer.u.v4.sin_port = 0;
	mux_send_datagrams(
		&server.io, &server.send_op, server.buf, server.datagrams, (size_t)n, sent);
}

static void put(size_t client, const void *data, size_t length)
{
	assert_int_equal(
		sendto(clients[client], data, length, 0, &server.bound.u.any, server.bound.length),
		length);
}

/* What comes back to a client, or -1 when there is no more. */
static int get(size_t client, void *into, size_t size)
{
	return (int)recv(clients[client], into, size, 0);
}

static void each_goes_back_to_its_sender_whole_and_in_order(void **state)
{
	char data[ROOM];

	(void)state;
	for (int i = 0; i < EACH; i++)
		for (size_t c = 0; c < CLIENTS; c++) {
			memset(data, (int)c + 1, sizeof(data));
			data[0] = (char)i;
			put(c, data, i == 0 ? 0 : (size_t)i);
		}
	server.awaited = EACH * CLIENTS;
	receive(1);
	assert_int_equal(mux_run(mux), 0);
	for (size_t c = 0; c < CLIENTS; c++) {
		for (int i = 0; i < EACH; i++) {
			assert_int_equal(get(c, data, sizeof(data)), i);
			assert_true(i < 1 || data[0] == (char)i);
			assert_true(i < 2 || data[i - 1] == (char)(c + 1));
		}
		assert_int_equal(get(c, data, sizeof(data)), -1);
	}
}

static void one_that_is_too_long_is_told_and_its_neighbours_are_whole(void **state)
{
	char data[ROOM + 1] = "x";

	(void)state;
	put(0, "before", 6);
	put(1, data, ROOM + 1);
	put(2, data, ROOM);
	put(0, "after", 5);
	server.awaited = 4;
	receive(OS_DATAGRAMS);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(server.too_long, 1);
	assert_int_equal(get(0, data, sizeof(data)), 6);
	assert_memory_equal(data, "before", 6);
	assert_int_equal(get(0, data, sizeof(data)), 5);
	assert_memory_equal(data, "after", 5);
	assert_int_equal(get(2, data, sizeof(data)), ROOM);
}

static void one_that_cannot_be_sent_is_lost_and_the_others_go(void **state)
{
	char data[ROOM];

	(void)state;
	for (size_t c = 0; c < CLIENTS; c++)
		put(c, "hello", 5);
	server.awaited = CLIENTS;
	server.spoils = true;
	receive(OS_DATAGRAMS);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(server.result, CLIENTS); /* which came together */
	assert_int_equal(get(0, data, sizeof(data)), -1);
	for (size_t c = 1; c < CLIENTS; c++)
		assert_int_equal(get(c, data, sizeof(data)), 5);
}

static struct mux_timer soon;

static void close_server(struct mux_timer *timer)
{
	(void)timer;
	mux_close(&server.io, NULL);
}

static void closing_cancels_it(void **state)
{
	(void)state;
	receive(OS_DATAGRAMS);
	mux_timer_start(mux, &soon, 1, close_server);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(server.result, -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_SERVER(each_goes_back_to_its_sender_whole_and_in_order),
		WITH_A_SERVER(one_that_is_too_long_is_told_and_its_neighbours_are_whole),
		WITH_A_SERVER(one_that_cannot_be_sent_is_lost_and_the_others_go),
		WITH_A_SERVER(closing_cancels_it),
	};

	return run_on_each_loop("datagrams", tests, sizeof(tests) / sizeof(tests[0]));
}

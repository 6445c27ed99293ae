/*
 * A load for servers that accept: connections that send nothing but their end, and close once the
 * server's end has come.
 *
 *	connections PORT COUNT AT_ONCE
 *
 * For each line of stdin it makes COUNT of them, AT_ONCE at the same time, and prints "done
 * NANOSECONDS LONGEST": of all of them, and from a connect to its server's end at most. Each time they
 * come from another address, whose ports nobody has left in TIME_WAIT.
 */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>

struct connection {
	int fd;
	int ended; /* our end has been sent */
	long long begin;
};

static int epoll;
static struct sockaddr_in from;

/* In 127.0.0.0/8, and another for each process and run. */
static void choose_address(long turn)
{
	uint32_t process = (uint32_t)getpid() % 0xf000 + 0x100;

	from = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x7f000000 | process << 8 | (uint32_t)(turn % 250 + 1)) };
}

static void bind_address(int fd)
{
	int one = 1; /* the port is the connect's to choose */

	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
		bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("bind");
}

static void begin(struct connection *connection, int port)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = connection };
	struct sockaddr_in to = local(port);

	connection->ended = 0;
	connection->begin = nanoseconds();
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (connection->fd < 0)
		die("socket");
	bind_address(connection->fd);
	if (connect(connection->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		die("epoll_ctl");
}

static void send_end(struct connection *connection)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };

	if (shutdown(connection->fd, SHUT_WR) < 0)
		die("connect");
	connection->ended = 1;
	epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static long long leave(struct connection *connection)
{
	char byte;

	if (recv(connection->fd, &byte, 1, 0) != 0)
		die("recv");
	close(connection->fd);
	return nanoseconds() - connection->begin;
}

static long long run(struct connection *connections, int port, long count, long at_once)
{
	struct epoll_event events[256];
	long long longest = 0;
	long begun = 0;
	long done = 0;

	for (; begun < at_once; begun++)
		begin(&connections[begun], port);
	while (done < count) {
		int ready = epoll_wait(epoll, events, 256, 60000);

		if (ready <= 0)
			die("nothing came for 60 s");
		for (int i = 0; i < ready; i++) {
			struct connection *connection = events[i].data.ptr;
			long long took;

			if (!connection->ended) {
				send_end(connection);
				continue;
			}
			took = leave(connection);
			longest = took > longest ? took : longest;
			done++;
			if (begun < count) {
				begin(connection, port);
				begun++;
			}
		}
	}
	return longest;
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 4) {
		fprintf(stderr, "usage: connections PORT COUNT AT_ONCE\n");
		return 2;
	}
	int port = atoi(argv[1]);
	long count = atol(argv[2]);
	long at_once = atol(argv[3]);
	struct connection *connections = calloc((size_t)at_once, sizeof(*connections));

	epoll = epoll_create1(0);
	raise_descriptor_limit();
	if (!connections || epoll < 0)
		die("start");
	puts("ready");
	fflush(stdout);
	for (long turn = 0; fgets(line, sizeof(line), stdin); turn++) {
		choose_address(turn);

		long long begin_at = nanoseconds();
		long long longest = run(connections, port, count, at_once);

		printf("done %lld %lld\n", nanoseconds() - begin_at, longest);
		fflush(stdout);
	}
	free(connections);
	return 0;
}

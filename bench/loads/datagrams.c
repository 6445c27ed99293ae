/*
 * A load for UDP echo servers: sockets that each keep so many datagrams under way.
 *
 *	datagrams PORT SOCKETS WINDOW SIZE COUNT
 *
 * For each line of stdin it sends COUNT datagrams and prints "done NANOSECONDS LOST". One is lost
 * when nothing has come for 300 ms.
 */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { BATCH = 64 };

static size_t size;
static long to_send;
static char bytes[2048];

/* Sends up to `count` of what is left to send; tells how many. */
static long send_some(int fd, long count)
{
	struct iovec piece = { bytes, size };
	struct mmsghdr messages[BATCH];
	int n;

	count = count < to_send ? count : to_send;
	if (!count)
		return 0;
	memset(messages, 0, sizeof(messages));
	for (long i = 0; i < count; i++) {
		messages[i].msg_hdr.msg_iov = &piece;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = sendmmsg(fd, messages, (unsigned)count, 0);
	if (n < count)
		die("sendmmsg");
	to_send -= n;
	return n;
}

static long receive_some(int fd)
{
	static char into[BATCH][2048];
	struct iovec pieces[BATCH];
	struct mmsghdr messages[BATCH];
	int n;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ into[i], sizeof(into[i]) };
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN)
		die("recvmmsg");
	for (int i = 0; i < n; i++)
		if (messages[i].msg_len != size || memcmp(into[i], bytes, size) != 0) {
			fputs("the reply is not what was sent\n", stderr);
			exit(1);
		}
	return n < 0 ? 0 : n;
}

static long run(int epoll, const int *sockets, long count, long window)
{
	struct epoll_event events[BATCH];
	long under_way = 0;

	for (long i = 0; i < count; i++)
		under_way += send_some(sockets[i], window);
	while (under_way) {
		int ready = epoll_wait(epoll, events, BATCH, 300);

		if (ready == 0) /* what is under way has been lost */
			return under_way + to_send;
		for (int i = 0; i < ready; i++) {
			long n = receive_some(events[i].data.fd);

			under_way += send_some(events[i].data.fd, n) - n;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 6) {
		fprintf(stderr, "usage: datagrams PORT SOCKETS WINDOW SIZE COUNT\n");
		return 2;
	}
	struct sockaddr_in to = local(atoi(argv[1]));
	long count = atol(argv[2]);
	long window = atol(argv[3]);
	int *sockets = calloc((size_t)count, sizeof(*sockets));
	int epoll = epoll_create1(0);

	size = (size_t)atol(argv[4]);
	if (!sockets || epoll < 0 || size > sizeof(bytes) || window > BATCH)
		die("start");
	for (long i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN };

		sockets[i] = event.data.fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&to, sizeof(to)) < 0 ||
			epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i], &event) < 0)
			die("connect");
	}
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		long long begin = nanoseconds();
		long lost;

		to_send = atol(argv[5]);
		lost = run(epoll, sockets, count, window);
		printf("done %lld %ld\n", nanoseconds() - begin, lost);
		fflush(stdout);
	}
	free(sockets);
	return 0;
}

/* The smallest UDP echo server. Prints its port. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
	static char buffer[65536];
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
		perror("bind");
		return 1;
	}
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	for (;;) {
		ssize_t n;

		length = sizeof(address);
		n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&address, &length);
		if (n >= 0)
			sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&address, length);
	}
}

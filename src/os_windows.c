#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <iphlpapi.h>
#include <mstcpip.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *memrchr(const void *memory, int byte, size_t length)
{
	const unsigned char *bytes = memory;

	while (length--)
		if (bytes[length] == (unsigned char)byte)
			return (void *)(bytes + length);
	return NULL;
}

/* ---- errors ---- */

static const struct {
	unsigned long code;
	int number;
	const char *text;
} errors[] = {
	{ WSAEACCES, EACCES, "Permission denied" },
	{ WSAEADDRINUSE, EADDRINUSE, "Address already in use" },
	{ WSAEADDRNOTAVAIL, EADDRNOTAVAIL, "Cannot assign requested address" },
	{ WSAEAFNOSUPPORT, EAFNOSUPPORT, "Address family not supported by this system" },
	{ WSAEPFNOSUPPORT, EAFNOSUPPORT, "Address family not supported by this system" },
	{ WSAESOCKTNOSUPPORT, EAFNOSUPPORT, "Address family not supported by this system" },
	{ WSAEPROTONOSUPPORT, EPROTONOSUPPORT, "Protocol not supported" },
	{ WSAECONNABORTED, ECONNABORTED, "Software caused connection abort" },
	{ WSAECONNREFUSED, ECONNREFUSED, "Connection refused" },
	{ WSAECONNRESET, ECONNRESET, "Connection reset by peer" },
	{ WSAENETRESET, ECONNRESET, "Connection reset by peer" },
	{ WSAEDESTADDRREQ, EDESTADDRREQ, "Destination address required" },
	{ WSAEFAULT, EFAULT, "Bad address" },
	{ WSAEHOSTDOWN, EHOSTDOWN, "Host is down" },
	{ WSAEHOSTUNREACH, EHOSTUNREACH, "No route to host" },
	{ WSAEINPROGRESS, EINPROGRESS, "Operation now in progress" },
	{ WSAEINTR, EINTR, "Interrupted system call" },
	{ WSAEINVAL, EINVAL, "Invalid argument" },
	{ WSAEMFILE, EMFILE, "Too many open files" },
	{ WSAEMSGSIZE, EMSGSIZE, "Message too long" },
	{ WSAENETDOWN, ENETDOWN, "Network is down" },
	{ WSAENETUNREACH, ENETUNREACH, "Network is unreachable" },
	{ WSAENOBUFS, ENOBUFS, "No buffer space available" },
	{ WSAENOPROTOOPT, ENOPROTOOPT, "Protocol not available" },
	{ WSAENOTCONN, ENOTCONN, "Transport endpoint is not connected" },
	{ WSAENOTSOCK, ENOTSOCK, "Socket operation on non-socket" },
	{ WSAEOPNOTSUPP, EOPNOTSUPP, "Operation not supported" },
	{ WSAESHUTDOWN, EPIPE, "Broken pipe" },
	{ WSAETIMEDOUT, ETIMEDOUT, "Connection timed out" },
	{ WSAEWOULDBLOCK, EAGAIN, "Resource temporarily unavailable" },
	{ WSAHOST_NOT_FOUND, WSAHOST_NOT_FOUND, "Name or service not known" },
	{ WSATRY_AGAIN, WSATRY_AGAIN, "Temporary failure in name resolution" },
	{ WSANO_RECOVERY, WSANO_RECOVERY, "Non-recoverable failure in name resolution" },
	{ WSANO_DATA, WSANO_DATA, "No address associated with hostname" },
	{ ERROR_ACCESS_DENIED, EACCES, "Permission denied" },
	{ ERROR_BROKEN_PIPE, EPIPE, "Broken pipe" },
	{ ERROR_NO_DATA, EPIPE, "Broken pipe" },
	{ ERROR_PIPE_NOT_CONNECTED, EPIPE, "Broken pipe" },
	{ ERROR_CONNECTION_ABORTED, ECONNABORTED, "Software caused connection abort" },
	{ ERROR_CONNECTION_REFUSED, ECONNREFUSED, "Connection refused" },
	{ ERROR_NETNAME_DELETED, ECONNRESET, "Connection reset by peer" },
	{ ERROR_HOST_UNREACHABLE, EHOSTUNREACH, "No route to host" },
	{ ERROR_NETWORK_UNREACHABLE, ENETUNREACH, "Network is unreachable" },
	{ ERROR_PORT_UNREACHABLE, ECONNREFUSED, "Connection refused" },
	{ ERROR_SEM_TIMEOUT, ETIMEDOUT, "Connection timed out" },
	{ ERROR_DISK_FULL, ENOSPC, "No space left on device" },
	{ ERROR_HANDLE_DISK_FULL, ENOSPC, "No space left on device" },
	{ ERROR_FILE_NOT_FOUND, ENOENT, "No such file or directory" },
	{ ERROR_PATH_NOT_FOUND, ENOENT, "No such file or directory" },
	{ ERROR_INVALID_HANDLE, EBADF, "Bad file descriptor" },
	{ ERROR_INVALID_PARAMETER, EINVAL, "Invalid argument" },
	{ ERROR_NOT_ENOUGH_MEMORY, ENOMEM, "Not enough memory" },
	{ ERROR_NO_SYSTEM_RESOURCES, ENOBUFS, "No buffer space available" },
	{ ERROR_OPERATION_ABORTED, ECANCELED, "Operation canceled" },
	{ ERROR_TOO_MANY_OPEN_FILES, EMFILE, "Too many open files" },
};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

int os_windows_error(unsigned long code)
{
	for (size_t i = 0; i < ERRORS; i++)
		if (errors[i].code == code)
			return -errors[i].number;
	return -(int)code;
}

int os_socket_error(void)
{
	return os_windows_error((unsigned long)WSAGetLastError());
}

static int last_error(void)
{
	return os_windows_error(GetLastError());
}

const char *os_error(int error)
{
	static char text[256];
	DWORD length;

	for (size_t i = 0; i < ERRORS; i++)
		if (errors[i].number == -error)
			return errors[i].text;
	if (-error < 200) /* of the C library */
		return strerror(-error);
	length = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
		(DWORD)-error, 0, text, sizeof(text), NULL);
	while (length && (text[length - 1] <= ' ' || text[length - 1] == '.'))
		text[--length] = '\0';
	if (!length)
		snprintf(text, sizeof(text), "error %d", -error);
	return text;
}

/* ---- sockets ---- */

#ifndef SIO_UDP_CONNRESET /* not in every mswsock.h */
#define SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)
#endif

/* A datagram's ICMP errors come back as errors of the socket (SIO_UDP_CONNRESET), or not. */
static void report_unreachable(mux_fd fd, BOOL on)
{
	DWORD unused;

	WSAIoctl(fd, SIO_UDP_CONNRESET, &on, sizeof(on), NULL, 0, &unused, NULL, NULL);
}

static int make_nonblocking(mux_fd fd)
{
	u_long on = 1;

	return ioctlsocket(fd, FIONBIO, &on) < 0 ? os_socket_error() : 0;
}

mux_fd os_socket(int family, int type)
{
	SOCKET fd = WSASocketW(
		family, type, 0, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
	int error;

	if (fd == INVALID_SOCKET)
		return os_socket_error();
	error = make_nonblocking((mux_fd)fd);
	if (error) {
		closesocket(fd);
		return error;
	}
	if (type == SOCK_DGRAM)
		report_unreachable((mux_fd)fd, FALSE);
	return (mux_fd)fd;
}

int os_poll(struct pollfd *fds, size_t count, int timeout)
{
	int ready;

	if (!count) { /* WSAPoll refuses that */
		Sleep((DWORD)timeout);
		return 0;
	}
	ready = WSAPoll(fds, (ULONG)count, timeout);
	return ready < 0 ? os_socket_error() : ready;
}

int os_look_up(
	const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	int error = getaddrinfo(host, service, hints, list);

	return error ? os_windows_error((unsigned long)error) : 0;
}

/* ---- moving bytes ---- */

static ssize_t read_file(mux_fd fd, void *into, size_t size)
{
	DWORD n = 0;

	if (ReadFile((HANDLE)fd, into, (DWORD)size, &n, NULL))
		return (ssize_t)n;
	switch (GetLastError()) {
	case ERROR_BROKEN_PIPE: /* its last writer has gone */
	case ERROR_HANDLE_EOF:
		return 0;
	default:
		return last_error();
	}
}

static bool has_failed(mux_fd fd)
{
	struct pollfd state = { .fd = (SOCKET)fd, .events = POLLOUT };

	return os_poll(&state, 1, 0) == 1 && (state.revents & POLLERR);
}

ssize_t os_read(mux_fd fd, enum os_kind kind, void *into, size_t size)
{
	int n;

	if (kind == OS_BLOCKING && os_is_console(fd))
		return os_console_read(fd, into, size);
	if (kind == OS_BLOCKING || kind == OS_FILE)
		return read_file(fd, into, size);
	n = recv(fd, into, (int)size, 0);
	if (n == 0 && has_failed(fd)) /* Wine: whoever waited for a reset has used it up */
		return -ECONNRESET;
	return n < 0 ? os_socket_error() : n;
}

ssize_t os_write(mux_fd fd, enum os_kind kind, const void *from, size_t length)
{
	DWORD written = 0;
	int n;

	if (kind == OS_BLOCKING && os_is_console(fd))
		return os_console_write(fd, from, length);
	if (kind == OS_BLOCKING || kind == OS_FILE) {
		if (!WriteFile((HANDLE)fd, from, (DWORD)length, &written, NULL))
			return last_error();
		return (ssize_t)written;
	}
	n = send(fd, from, (int)length, 0);
	return n < 0 ? os_socket_error() : n;
}

ssize_t os_recvfrom(mux_fd fd, void *into, size_t size, struct os_address *from)
{
	int n;

	if (from)
		from->length = sizeof(from->u);
	n = recvfrom(
		fd, into, (int)size, 0, from ? &from->u.any : NULL, from ? &from->length : NULL);
	return n < 0 ? os_socket_error() : n;
}

ssize_t os_sendto(mux_fd fd, const void *data, size_t length, const struct os_address *to)
{
	int n = sendto(fd, data, (int)length, 0, to ? &to->u.any : NULL, to ? (int)to->length : 0);

	return n < 0 ? os_socket_error() : n;
}

mux_fd os_accept(mux_fd fd, struct os_address *peer)
{
	struct os_address unused;
	struct os_address *from = peer ? peer : &unused;
	SOCKET accepted;

	from->length = sizeof(from->u);
	accepted = accept(fd, &from->u.any, &from->length);
	if (accepted == INVALID_SOCKET) {
		int error = os_socket_error();

		return error == -ECONNRESET || error == -EINTR ? -ECONNABORTED : error;
	}
	SetHandleInformation((HANDLE)accepted, HANDLE_FLAG_INHERIT, 0);
	make_nonblocking((mux_fd)accepted);
	return (mux_fd)accepted;
}

int os_connect(mux_fd fd, const struct os_address *to)
{
	int type = 0;
	int length = sizeof(type);

	/* whom it alone talks to may be heard to be missing */
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)&type, &length) == 0 && type == SOCK_DGRAM)
		report_unreachable(fd, TRUE);
	if (connect(fd, &to->u.any, to->length) == 0)
		return 0;
	return WSAGetLastError() == WSAEWOULDBLOCK ? -EINPROGRESS : os_socket_error();
}

int os_connect_result(mux_fd fd)
{
	int error = 0;
	int length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, (void *)&error, &length) < 0)
		return os_socket_error();
	return error ? os_windows_error((unsigned long)error) : 0;
}

bool os_is_same(mux_fd a, mux_fd b)
{
	return a == b;
}

int os_shutdown_write(mux_fd fd)
{
	return shutdown(fd, SD_SEND) < 0 ? os_socket_error() : 0;
}

void os_keep_asking(mux_fd fd)
{
	struct tcp_keepalive ask = {
		.onoff = 1, .keepalivetime = 30000, .keepaliveinterval = 30000
	};
	DWORD unused;

	WSAIoctl(fd, SIO_KEEPALIVE_VALS, &ask, sizeof(ask), NULL, 0, &unused, NULL, NULL);
}

bool os_peer_is_gone(mux_fd fd)
{
	char byte;

	/* WSAPoll's POLLHUP is no more than the end that it has sent */
	return has_failed(fd) ||
	       (recv(fd, &byte, 1, MSG_PEEK) < 0 && WSAGetLastError() != WSAEWOULDBLOCK);
}

void os_close(mux_fd fd, enum os_kind kind)
{
	if (kind == OS_FILE || kind == OS_BLOCKING)
		CloseHandle((HANDLE)fd);
	else
		closesocket(fd);
}

void os_reset_on_close(mux_fd fd, bool reset)
{
	struct linger none = { .l_onoff = reset, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, (void *)&none, sizeof(none));
}

/* ---- what the peer has acknowledged ---- */

static bool same_end(const struct os_address *end, DWORD address, DWORD port)
{
	return end->u.v4.sin_addr.s_addr == address && end->u.v4.sin_port == (u_short)port;
}

static bool same_end6(const struct os_address *end, const IN6_ADDR *address, DWORD port)
{
	return IN6_ARE_ADDR_EQUAL(&end->u.v6.sin6_addr, address) &&
	       end->u.v6.sin6_port == (u_short)port;
}

static DWORD find_state(
	const MIB_TCPTABLE *table, const struct os_address *own, const struct os_address *peer)
{
	for (DWORD i = 0; i < table->dwNumEntries; i++) {
		const MIB_TCPROW *row = &table->table[i];

		if (same_end(own, row->dwLocalAddr, row->dwLocalPort) &&
			same_end(peer, row->dwRemoteAddr, row->dwRemotePort))
			return row->dwState;
	}
	return 0;
}

static DWORD find_state6(
	const MIB_TCP6TABLE *table, const struct os_address *own, const struct os_address *peer)
{
	for (DWORD i = 0; i < table->dwNumEntries; i++) {
		const MIB_TCP6ROW *row = &table->table[i];

		if (same_end6(own, &row->LocalAddr, row->dwLocalPort) &&
			same_end6(peer, &row->RemoteAddr, row->dwRemotePort))
			return row->State;
	}
	return 0;
}

/* The IPv4 address that an IPv6 socket which serves both has as its end. */
static void unmap(struct os_address *end)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (end->u.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&end->u.v6.sin6_addr))
		return;
	v4.sin_port = end->u.v6.sin6_port;
	memcpy(&v4.sin_addr, end->u.v6.sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
	end->u.v4 = v4;
}

/* The state of a TCP connection (RFC 9293, section 3.3.2) in the system's table; 0: none there. */
static DWORD tcp_state(mux_fd fd)
{
	struct os_address own = { .length = sizeof(own.u) };
	struct os_address peer = { .length = sizeof(peer.u) };
	ULONG size = 0;
	DWORD state = 0;
	void *table;
	bool v6;

	if (getsockname(fd, &own.u.any, &own.length) < 0 ||
		getpeername(fd, &peer.u.any, &peer.length) < 0)
		return 0;
	unmap(&own);
	unmap(&peer);
	v6 = own.u.any.sa_family == AF_INET6;
	if (v6)
		GetTcp6Table(NULL, &size, FALSE);
	else
		GetTcpTable(NULL, &size, FALSE);
	size += 4096; /* it may grow before it is asked for again */
	table = malloc(size);
	if (table && v6 && GetTcp6Table(table, &size, FALSE) == NO_ERROR)
		state = find_state6(table, &own, &peer);
	else if (table && !v6 && GetTcpTable(table, &size, FALSE) == NO_ERROR)
		state = find_state(table, &own, &peer);
	free(table);
	return state;
}

/*
 * SIO_TCP_INFO tells since Windows 10, 1703. Before that, and in Wine, only the state does: once
 * our end has been sent, it is acknowledged when the connection is past FIN_WAIT1.
 */
size_t os_unsent(mux_fd fd)
{
	TCP_INFO_v0 info;
	DWORD version = 0;
	DWORD size;

	if (WSAIoctl(fd, SIO_TCP_INFO, &version, sizeof(version), &info, sizeof(info), &size, NULL,
		    NULL) == 0) {
		if (info.State == TCPSTATE_CLOSED)
			return 0;
		if (info.BytesInFlight)
			return info.BytesInFlight;
		return info.State == TCPSTATE_FIN_WAIT_1 || info.SndWnd == 0;
	}
	switch (tcp_state(fd)) {
	case MIB_TCP_STATE_FIN_WAIT1:
	case MIB_TCP_STATE_CLOSING:
	case MIB_TCP_STATE_LAST_ACK:
		return 1;
	default:
		return 0;
	}
}

uint64_t os_now(void)
{
	LARGE_INTEGER ticks;
	LARGE_INTEGER frequency;

	QueryPerformanceCounter(&ticks);
	QueryPerformanceFrequency(&frequency);
	return (uint64_t)(ticks.QuadPart / frequency.QuadPart * 1000 +
			  ticks.QuadPart % frequency.QuadPart * 1000 / frequency.QuadPart);
}

/* ---- a waker: a datagram socket on loopback that talks to itself alone ---- */

int os_waker_open(struct os_waker *waker)
{
	struct sockaddr_in self = { .sin_family = AF_INET };
	int length = sizeof(self);
	mux_fd fd = os_socket(AF_INET, SOCK_DGRAM);

	if (fd < 0)
		return (int)fd;
	self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0 ||
		getsockname(fd, (struct sockaddr *)&self, &length) < 0 ||
		connect(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
		int error = os_socket_error();

		closesocket(fd);
		return error;
	}
	waker->read_end = waker->write_end = fd;
	return 0;
}

void os_waker_close(struct os_waker *waker)
{
	closesocket(waker->read_end);
}

void os_wake(const struct os_waker *waker)
{
	send(waker->write_end, "", 1, 0); /* what does not fit in is not needed: it is awake */
}

/* ---- stdin and stdout ---- */

void os_start(void)
{
	WSADATA data;

	WSAStartup(MAKEWORD(2, 2), &data);
	_fmode = _O_BINARY;
	for (int number = 0; number < 3; number++) {
		if (_get_osfhandle(number) < 0) {
			int null = _open("NUL", _O_RDWR);

			_dup2(null, number);
			if (null > 2)
				_close(null);
		}
		_setmode(number, _O_BINARY);
	}
	setvbuf(stderr, NULL, _IONBF, 0); /* else a file gets it late */
}

static mux_fd take_over(DWORD which, enum os_kind *kind)
{
	HANDLE standard = GetStdHandle(which);
	HANDLE own;

	if (!DuplicateHandle(GetCurrentProcess(), standard, GetCurrentProcess(), &own, 0, FALSE,
		    DUPLICATE_SAME_ACCESS))
		return last_error();
	*kind = GetFileType(own) == FILE_TYPE_DISK ? OS_FILE : OS_BLOCKING;
	return (mux_fd)own;
}

mux_fd os_stdin(enum os_kind *kind)
{
	return take_over(STD_INPUT_HANDLE, kind);
}

mux_fd os_stdout(enum os_kind *kind)
{
	return take_over(STD_OUTPUT_HANDLE, kind);
}

void os_release_standard(int number)
{
	int null = _open("NUL", _O_RDWR);

	if (null < 0) {
		_close(number);
		return;
	}
	_dup2(null, number);
	_close(null);
}

bool os_is_terminal(mux_fd fd)
{
	return os_is_console(_get_osfhandle((int)fd));
}

void os_raise_descriptor_limit(void)
{
	/* handles are limited by memory only */
}

/* ---- Ctrl-C, Ctrl-Break, and the console's end: a thread of the system's calls `handle` ---- */

static void (*on_signal)(int);
static volatile LONG ending;

static BOOL WINAPI handle(DWORD event)
{
	if (InterlockedExchange(&ending, 1))
		return FALSE; /* the second ends the process at once, as if there were no handler */
	on_signal(event == CTRL_C_EVENT ? SIGINT : event == CTRL_BREAK_EVENT ? SIGBREAK : SIGTERM);
	if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT)
		Sleep(INFINITE); /* the process ends when this returns (HandlerRoutine, Win32) */
	return TRUE;
}

void os_catch_signals(void (*caught)(int))
{
	on_signal = caught;
	SetConsoleCtrlHandler(handle, TRUE);
}

void os_release_signals(void)
{
	InterlockedExchange(&ending, 1);
}

void os_die_by(int signal)
{
	(void)signal;
	ExitProcess(STATUS_CONTROL_C_EXIT);
}

bool os_pipe_kills(void)
{
	return false;
}

void os_die_by_pipe(void)
{
	ExitProcess(EXIT_FAILURE);
}

/* ---- files ---- */

bool os_replace_file(const char *from, const char *to)
{
	if (MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING))
		return true;
	errno = -last_error();
	return false;
}

bool os_identify_socket_file(const char *path, uint64_t *device, uint64_t *inode)
{
	BY_HANDLE_FILE_INFORMATION about;
	FILE_ATTRIBUTE_TAG_INFO tag;
	HANDLE file = CreateFileA(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
		NULL, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS,
		NULL);
	bool known;

	if (file == INVALID_HANDLE_VALUE)
		return false;
	known = GetFileInformationByHandleEx(file, FileAttributeTagInfo, &tag, sizeof(tag)) &&
		tag.ReparseTag == IO_REPARSE_TAG_AF_UNIX &&
		GetFileInformationByHandle(file, &about);
	CloseHandle(file);
	if (!known)
		return false;
	*device = about.dwVolumeSerialNumber;
	*inode = (uint64_t)about.nFileIndexHigh << 32 | about.nFileIndexLow;
	return true;
}

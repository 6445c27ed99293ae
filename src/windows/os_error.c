/* Winsock's and Win32's errors as errno values, and the words for them, which are those of Linux. */
#include "os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
	{ ERROR_OPERATION_ABORTED, ECONNABORTED, "Software caused connection abort" },
	{ ERROR_TOO_MANY_OPEN_FILES, EMFILE, "Too many open files" },
};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

/* Codes without a counterpart, moved out of the way of errno's. */
enum { SYSTEM_ERROR = 100000 };

int os_windows_error(unsigned long code)
{
	for (size_t i = 0; i < ERRORS; i++)
		if (errors[i].code == code)
			return -errors[i].number;
	return -(SYSTEM_ERROR + (int)code);
}

const char *os_error(int error)
{
	static _Thread_local char text[256];
	DWORD length;

	for (size_t i = 0; i < ERRORS; i++)
		if (errors[i].number == -error)
			return errors[i].text;
	if (-error < SYSTEM_ERROR) /* of the C library */
		return strerror(-error);
	length = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
		(DWORD)(-error - SYSTEM_ERROR), 0, text, sizeof(text), NULL);
	while (length && (text[length - 1] <= ' ' || text[length - 1] == '.'))
		text[--length] = '\0';
	if (!length)
		snprintf(text, sizeof(text), "system error %d", -error - SYSTEM_ERROR);
	return text;
}

/*
 * Stands between a program and the kernel (LD_PRELOAD) and fails io_uring's system calls
 * as a seccomp filter does: with the error number in $IO_URING_ERRNO.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define ARGUMENTS 6

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long argument[ARGUMENTS];
	va_list list;

	if (number >= __NR_io_uring_setup && number <= __NR_io_uring_register) {
		errno = atoi(getenv("IO_URING_ERRNO"));
		return -1;
	}
	if (next == NULL)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	va_start(list, number);
	for (int i = 0; i < ARGUMENTS; i++)
		argument[i] = va_arg(list, long);
	va_end(list);
	return next(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		    argument[5]);
}

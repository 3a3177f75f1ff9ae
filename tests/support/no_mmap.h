/* SPDX-License-Identifier: MIT
 *
 * A steady state that cannot map memory: an allocator that grows gets killed.
 */
#ifndef NO_MMAP_H
#define NO_MMAP_H

/* From now on mmap, mremap, munmap and brk by any thread end the process with SIGSYS. There is no
 * way back; leave with _exit(). 0 or -errno. */
int no_mmap_install(void);

#endif

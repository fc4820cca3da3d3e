/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Stand-in: bcc sizes ring buffers in pages; the loader gives the host's page size. */
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096
#endif

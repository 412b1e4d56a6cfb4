/* version.h: the version of the program, in one place. */
#ifndef HG_BASE_VERSION_H
#define HG_BASE_VERSION_H

#define HG_VERSION "0.1.0"

#endif

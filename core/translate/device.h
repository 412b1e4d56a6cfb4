/* device.h: which device serves: the table of those this program knows. */
#ifndef HG_TRANSLATE_DEVICE_H
#define HG_TRANSLATE_DEVICE_H

#include "core/engine/engine.h"

/* Opens an engine on the device that name asks for: "cpu", "cuda", or "auto", the first of the
 * table that works. options->api is set here. The log says what was chosen and why not another.
 * HG_ERROR_ARGUMENT for an unknown name. */
hg_status hg_device_open_engine(const char *name, hg_engine_options *options, hg_engine **out,
                                hg_error *error) HG_CHECKED;

/* The device of that name, not opened; for CUDA its library is. */
hg_status hg_device_find(const char *name, const hg_device_api **out, hg_error *error) HG_CHECKED;

#endif

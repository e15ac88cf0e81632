// The package's version: src/ts/version.ts has the same, and whoever loads the addon compares.
#pragma once

namespace devmem {

// Written by scripts/release/write-version.mjs.
inline constexpr char kVersion[] = "0.1.0";

}  // namespace devmem

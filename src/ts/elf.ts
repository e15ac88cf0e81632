/** How long an ELF file is by its own headers: elf(5). */
import { closeSync, openSync, readSync } from 'node:fs';

const HEADER_BYTES = 64; // sizeof(Elf64_Ehdr)
const SEGMENT_BYTES = 56; // sizeof(Elf64_Phdr)

/** `\x7fELF`, ELFCLASS64, ELFDATA2LSB: as on x64 and arm64. */
const IDENTITY = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

/** A table of entries in the file. */
interface Table {
  offset: number;
  entryBytes: number;
  entries: number;
}

/**
 * The bytes that the headers of a file for a little-endian machine of 64 bits take for
 * granted: its segments, and the tables of segments and sections. Undefined for all else.
 *
 * @throws what open(2) or read(2) says
 */
export function lengthOfElf(file: string): number | undefined {
  const fd = openSync(file, 'r');
  try {
    const header = readPart(fd, 0, HEADER_BYTES);
    if (header.length < HEADER_BYTES || !header.subarray(0, 6).equals(IDENTITY)) return undefined;
    const segments = tableAt(header, { offset: 32, sizes: 54 }); // e_phoff, e_phentsize
    const sections = tableAt(header, { offset: 40, sizes: 58 }); // e_shoff, e_shentsize
    return Math.max(endOf(segments), endOf(sections), ...segmentEnds(fd, segments));
  } finally {
    closeSync(fd);
  }
}

function tableAt(header: Buffer, at: { offset: number; sizes: number }): Table {
  return {
    offset: longAt(header, at.offset),
    entryBytes: header.readUInt16LE(at.sizes),
    entries: header.readUInt16LE(at.sizes + 2),
  };
}

const endOf = ({ offset, entryBytes, entries }: Table): number => offset + entryBytes * entries;

/** Where the segments end, of those whose description is in the file. */
function segmentEnds(fd: number, { offset, entryBytes, entries }: Table): number[] {
  if (entryBytes !== SEGMENT_BYTES || !Number.isSafeInteger(offset)) return [];
  const table = readPart(fd, offset, SEGMENT_BYTES * entries);
  return Array.from({ length: Math.floor(table.length / SEGMENT_BYTES) }, (_, index) => {
    const segment = table.subarray(index * SEGMENT_BYTES);
    return longAt(segment, 8) + longAt(segment, 32); // p_offset, p_filesz
  });
}

/** Fewer bytes where the file ends before. */
function readPart(fd: number, offset: number, bytes: number): Buffer {
  const part = Buffer.alloc(bytes);
  return part.subarray(0, readSync(fd, part, 0, bytes, offset));
}

const longAt = (bytes: Buffer, offset: number): number => Number(bytes.readBigUInt64LE(offset));

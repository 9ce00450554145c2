/** Reads the certificate and key that the port speaks TLS with. */
import { readFile } from 'node:fs/promises';

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** @throws Error naming the setting whose file cannot be read. */
export async function readTlsFiles({ certFile, keyFile }: TlsFiles): Promise<{ cert: Buffer; key: Buffer }> {
  return { cert: await read('TLS_CERT_FILE', certFile), key: await read('TLS_KEY_FILE', keyFile) };
}

async function read(setting: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new Error(`${setting}: cannot read the file it names`, { cause: error });
  }
}

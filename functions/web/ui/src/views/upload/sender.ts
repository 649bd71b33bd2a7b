// Uppy with its S3 plugin, told how our API does it: the clip is made first, parts are signed when their turn comes, and
// the server knows which have arrived, so that no ETag is ever kept here.
import AwsS3, { type AwsS3UploadParameters } from '@uppy/aws-s3';
import Uppy from '@uppy/core';
import { api, type Target } from '../../lib/api.js';

export interface Order {
  /** The clip. */
  id: string;
  file: File;
  target: Target;
}

export interface Handlers {
  progress: (id: string, sent: number) => void;
  sent: (id: string) => void;
  failed: (id: string, error: Error) => void;
}

type Meta = { video: string };
type Reply = { location?: string };

/** A PUT with progress. Nothing of the answer is needed but that it is one of success. */
function put({ signature, body, size, onProgress, onComplete, signal }: PutOptions): Promise<{ ETag: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const failed = (message: string): void => reject(Object.assign(new Error(message), { source: request }));
    const stop = (): void => request.abort();
    signal?.addEventListener('abort', stop);
    request.onloadend = () => signal?.removeEventListener('abort', stop);
    request.upload.onprogress = onProgress;
    request.onabort = () => reject(new DOMException('Aborted', 'AbortError'));
    request.onerror = () => failed('The connection was lost.');
    request.onload = () => {
      // 412: these very bytes are there already, and their answer was lost.
      const there = request.status === 412 && !signature.url.includes('partNumber=');
      if (!there && (request.status < 200 || request.status >= 300)) {
        return failed(request.status === 403 ? 'Request has expired' : `The store answered ${request.status}.`);
      }
      onProgress({ loaded: size ?? (body as Blob).size, lengthComputable: true });
      onComplete(SENT);
      resolve({ ETag: SENT });
    };
    request.open('PUT', signature.url);
    for (const [name, value] of Object.entries(signature.headers ?? {})) request.setRequestHeader(name, value);
    request.send(body);
  });
}

interface PutOptions {
  signature: AwsS3UploadParameters;
  body: FormData | Blob;
  size?: number;
  onProgress: (event: { loaded: number; lengthComputable: boolean }) => void;
  onComplete: (etag: string) => void;
  signal?: AbortSignal;
}

/** Stands where Uppy keeps ETags. */
const SENT = 'sent';

export class Sender {
  #orders = new Map<string, Order>();
  #uppy = new Uppy<Meta, Reply>({ autoProceed: false, allowMultipleUploadBatches: true });

  constructor(handlers: Handlers) {
    this.#uppy.use(AwsS3<Meta, Reply>, {
      limit: 4,
      shouldUseMultipart: (file) => this.#order(file.meta.video).target.kind === 'multipart',
      getChunkSize: (data) => this.#partSize(data),
      getUploadParameters: (file) => this.#whole(file.meta.video),
      createMultipartUpload: (file) => ({ key: file.meta.video, uploadId: file.meta.video }),
      listParts: async (file) => {
        const { parts } = await api.parts(file.meta.video);
        return parts.map(({ part_number, size }) => ({ PartNumber: part_number, Size: size, ETag: SENT }));
      },
      signPart: async (file, { partNumber }) => {
        const { parts } = await api.signPart(file.meta.video, partNumber);
        const part = parts[0];
        if (!part) throw new Error('The server signed nothing.');
        return { method: 'PUT', url: part.url, headers: part.headers };
      },
      uploadPartBytes: (options) => put(options as PutOptions),
      // Completed by its owner below; given up only when somebody says so, never because of an error.
      completeMultipartUpload: () => ({}),
      abortMultipartUpload: () => undefined,
    });
    this.#uppy.on('upload-progress', (file, { bytesUploaded }) => {
      if (file) handlers.progress(file.meta.video, bytesUploaded || 0);
    });
    this.#uppy.on('upload-error', (file, error) => {
      if (file) handlers.failed(file.meta.video, error);
    });
    this.#uppy.on('upload-success', (file) => {
      if (!file) return;
      const id = file.meta.video;
      handlers.sent(id);
      this.#uppy.removeFile(file.id);
      this.#orders.delete(id);
    });
  }

  /** Sends a file, or goes on with one of which parts have arrived. */
  send(order: Order): void {
    this.#remove(order.id);
    this.#orders.set(order.id, order);
    const { file, target, id } = order;
    const name = `${id}-${file.name}`;
    const added = this.#uppy.addFile({ name, type: file.type, data: file, meta: { video: id } });
    // As for an upload that was interrupted: the server is asked which parts it has.
    if (target.kind === 'multipart') {
      this.#uppy.setFileState(added, { s3Multipart: { key: id, uploadId: id } } as object);
    }
    void this.#uppy.upload().catch(() => undefined);
  }

  pause(id: string, paused: boolean): void {
    const file = this.#file(id);
    if (file && Boolean(file.isPaused) !== paused) this.#uppy.pauseResume(file.id);
  }

  stop(id: string): void {
    this.#remove(id);
    this.#orders.delete(id);
  }

  #file(id: string) {
    return this.#uppy.getFiles().find((file) => file.meta.video === id);
  }

  #remove(id: string): void {
    const file = this.#file(id);
    if (file) this.#uppy.removeFile(file.id);
  }

  #order(id: string): Order {
    const order = this.#orders.get(id);
    if (!order) throw new Error('This upload was stopped.');
    return order;
  }

  #partSize(data: { size: number }): number {
    const order = [...this.#orders.values()].find(({ file }) => file === data || file.size === data.size);
    return order?.target.kind === 'multipart' ? order.target.part_size : data.size;
  }

  #whole(id: string): AwsS3UploadParameters {
    const { target } = this.#order(id);
    if (target.kind !== 'put') throw new Error('This upload goes in parts.');
    return { method: 'PUT', url: target.url, headers: target.headers };
  }
}

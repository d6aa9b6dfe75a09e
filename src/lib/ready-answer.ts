/** A resource as JSON text, and the version that its ETag names. */
export interface ReadyAnswer {
  version: number;
  json: string;
}

/** One of several that were read together. */
export interface ReadyRow extends ReadyAnswer {
  id: number;
}

export function toReadyAnswer(resource: { version: number }): ReadyAnswer {
  return { version: resource.version, json: JSON.stringify(resource) };
}

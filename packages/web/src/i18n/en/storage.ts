/** Volumes and pools. */
export const texts = {
  'column.size': 'Size',
  'volumes.filter': 'Filter the volumes',
  'volumes.none': 'No volumes',
} as const

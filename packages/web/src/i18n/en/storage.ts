/** Volumes and pools. */
export const texts = {
  'column.size': 'Size',
  'volumes.filter': 'Filter the volumes',
  'volumes.none': 'No volumes',
  'volumes.actions': 'Actions',
  'volumes.askDelete': 'Delete {{name}}, once of {{guest}}?',
  'volumes.delete': 'Delete',
  'volumes.deleteOne': 'Delete: {{name}} of {{guest}}',
  'volumes.deleteText': 'All its replicas are deleted with it. Nothing brings them back but a backup.',
  'volumes.ofGuest': 'It belongs to a guest: it is removed there',
} as const

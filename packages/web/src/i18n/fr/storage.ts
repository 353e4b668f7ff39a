export const texts: Record<string, string> = {
  'column.size': 'Taille',
  'volumes.filter': 'Filtrer les volumes',
  'volumes.none': 'Pas de volumes',
  'volumes.actions': 'Actions',
  'volumes.askDelete': 'Supprimer {{name}}, autrefois de {{guest}} ?',
  'volumes.delete': 'Supprimer',
  'volumes.deleteOne': 'Supprimer : {{name}} de {{guest}}',
  'volumes.deleteText': 'Tous ses réplicas sont supprimés avec lui. Rien ne les ramène, sauf une sauvegarde.',
  'volumes.ofGuest': 'Il appartient à un invité : on le retire là-bas',
}

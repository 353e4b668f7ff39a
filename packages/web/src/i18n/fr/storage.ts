export const texts: Record<string, string> = {
  'column.size': 'Taille',
  'volumes.filter': 'Filtrer les volumes',
  'volumes.none': 'Pas de volumes',
}

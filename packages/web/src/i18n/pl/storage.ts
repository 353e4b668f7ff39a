export const texts: Record<string, string> = {
  'column.size': 'Rozmiar',
  'volumes.filter': 'Filtruj woluminy',
  'volumes.none': 'Brak woluminów',
}

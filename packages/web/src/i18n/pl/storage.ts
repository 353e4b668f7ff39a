export const texts: Record<string, string> = {
  'column.size': 'Rozmiar',
  'volumes.filter': 'Filtruj woluminy',
  'volumes.none': 'Brak woluminów',
  'volumes.actions': 'Działania',
  'volumes.askDelete': 'Usunąć {{name}}, dawniej gościa {{guest}}?',
  'volumes.delete': 'Usuń',
  'volumes.deleteOne': 'Usuń: {{name}} gościa {{guest}}',
  'volumes.deleteText': 'Usunięte zostaną też wszystkie jego repliki. Przywróci je tylko kopia zapasowa.',
  'volumes.ofGuest': 'Należy do gościa: usuwa się go tam',
}
